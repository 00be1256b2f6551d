"""Networks of several groups of latents, in models that train, are saved, audited and resumed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import vae_tf
from vae_tf.errors import ConfigError
from vae_tf.networks import mlp_ladder, resnet_ladder

SHAPE = (8, 8, 1)
OUTPUTS = {"logits": SHAPE}
BUILDERS = {
    "mlp": lambda **more: mlp_ladder(SHAPE, (2, 3, 4), OUTPUTS, (12, 16, 20), **more),
    "resnet": lambda **more: resnet_ladder(SHAPE, (3, 1, 2), OUTPUTS, (4, 4, 4), hidden=8, **more),
}
SIZES = {"mlp": (2, 3, 4), "resnet": (3, 16, 32)}  # maps of 4 x 4


def images(n=96):
    digits = np.random.default_rng(0).random((n, *SHAPE))
    return (digits > 0.6).astype("float32")


def model(networks, size, **more):
    prior = vae_tf.priors.Hierarchy(vae_tf.priors.StandardNormal(size), networks.prior)
    posterior = vae_tf.posteriors.Ladder(networks.posterior)
    vae = vae_tf.VAE(networks.encoder, networks.decoder, prior=prior, posterior=posterior, **more)
    vae.compile(keras.optimizers.Adam(1e-2))
    return vae


@pytest.fixture(params=["mlp", pytest.param("resnet", marks=pytest.mark.slow)])
def kind(request):
    return request.param


@pytest.mark.slow
def test_a_model_trains_is_audited_and_comes_back_from_its_file(kind, tmp_path):
    networks, x = BUILDERS[kind](), images()
    vae = model(networks, SIZES[kind][0], kl_control=vae_tf.objectives.FreeBits(0.01, "group"))
    assert vae.prior.group_sizes == SIZES[kind] == vae.posterior.group_sizes(sum(SIZES[kind]))
    parts = [networks.encoder, networks.decoder, *networks.prior, *networks.posterior]
    assert sum(len(part.trainable_weights) for part in parts) == len(vae.trainable_weights)
    losses = vae.fit(x, epochs=8, batch_size=24, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    report = vae.check(x[:8], print_fn=None)
    assert report.ok, report
    assert "closed form" in report["kl"].seen
    vae.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert len(copy.weights) == len(vae.weights)
    for ask in (
        lambda v: v.evaluate(x, verbose=0),
        lambda v: v.sample(3, seed=1),
        lambda v: v.reconstruct(x[:3]),
        lambda v: vae_tf.log_likelihood(v, x[:4], num_samples=3).per_example,
    ):
        np.testing.assert_array_equal(ask(vae), ask(copy))
    # Both go on alike: the shared weights were restored, and the optimizer's state of each
    for v in (vae, copy):
        v.fit(x, epochs=1, batch_size=24, verbose=0, shuffle=False)
    for one, other in zip(vae.weights, copy.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_posterior_starts_near_the_prior(kind):
    vae = model(BUILDERS[kind](), SIZES[kind][0])
    kl = vae_tf.evaluation.measure_collapse(vae, images(32)).kl_by_group
    assert kl.shape == (3,)
    assert (kl[1:] < 0.1 * np.array(SIZES[kind][1:])).all()


def test_seeds_conditions_masks_and_policies(kind, set_dtype_policy):
    one, again, other = (BUILDERS[kind](seed=seed).prior[1] for seed in (1, 1, 2))
    for a, b, c in zip(one.weights, again.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not a.numpy().any() or (a.numpy() != c.numpy()).any()
    networks = BUILDERS[kind](condition=5, mask=True)
    assert {t.name for t in networks.encoder.inputs} == {"x", "condition", "mask"}
    assert {t.name for t in networks.decoder.inputs} == {"z", "condition"}
    vae, x = model(networks, SIZES[kind][0]), images(4)
    fields = {"x": x, "condition": np.arange(4), "mask": np.ones_like(x)}
    assert np.isfinite(vae(fields, seed=tf.constant([0, 1])).nll).all()
    set_dtype_policy("mixed_bfloat16")
    networks = BUILDERS[kind]()
    assert networks.prior[0].layers[-1].compute_dtype == "float32"
    terms = model(networks, SIZES[kind][0])(x, seed=tf.constant([0, 1]))
    assert terms.kl.dtype == tf.float32


def test_another_posterior_of_the_top(kind):
    first = vae_tf.posteriors.FullNormal()
    size = SIZES[kind][0]
    networks = BUILDERS[kind](top=first.parameter_shapes(size))
    prior = vae_tf.priors.Hierarchy(vae_tf.priors.MixtureOfNormals(size, 4), networks.prior)
    posterior = vae_tf.posteriors.Ladder(networks.posterior, first)
    vae = vae_tf.VAE(networks.encoder, networks.decoder, prior=prior, posterior=posterior)
    assert np.isfinite(vae(images(4), seed=tf.constant([0, 1])).kl).all()


def test_levels_without_latents():
    networks = resnet_ladder(SHAPE, (3,), OUTPUTS, (4, 4, 4), hidden=8)
    assert networks.prior == networks.posterior == []
    networks = resnet_ladder((16, 16, 1), (3, 2), {"logits": (16, 16, 1)}, (4, 6, 8), hidden=8)
    vae = model(networks, 3)
    assert vae.prior.group_sizes == (3, 4 * 4 * 2)  # the level of 8 x 8 is without
    assert networks.encoder.output["group_1_features"].shape[1:] == (4, 4, 6)
    kernels = [w for w in networks.decoder.trainable_weights if w.path.endswith("kernel")]
    assert kernels[-1].shape[-2:] == (1, 8)  # of the transposed convolution to the image
    terms = vae(np.ones((2, 16, 16, 1), "float32"), seed=tf.constant([0, 1]))
    assert np.isfinite(terms.kl).all()


def test_images_of_any_size_and_more_groups_than_halvings():
    for shape in ((5, 7, 3), (28, 28, 1)):
        networks = resnet_ladder(shape, (2, 1, 1, 1), {"logits": shape}, (4,) * 4, hidden=8)
        size = networks.decoder.inputs[0].shape[-1]
        assert networks.decoder(tf.zeros([1, size]))["logits"].shape == (1, *shape)
        vae = model(networks, 2)
        assert np.isfinite(vae(np.ones((2, *shape), "float32"), seed=tf.constant([0, 1])).kl).all()


def test_refusals():
    with pytest.raises(ConfigError, match="`latents` and `hidden` must have one length"):
        mlp_ladder(SHAPE, (2, 3), OUTPUTS, (8,))
    with pytest.raises(ConfigError, match="`latents` must be a whole number of at least 1"):
        mlp_ladder(SHAPE, (2, 0), OUTPUTS, (8, 8))
    with pytest.raises(ConfigError, match="`latents` must be the widths of the layers"):
        mlp_ladder(SHAPE, 8, OUTPUTS, (8, 8))
    with pytest.raises(ConfigError, match="must be the shape of one example"):
        resnet_ladder((8, 8), (2, 3), OUTPUTS, (8, 8))
    with pytest.raises(ConfigError, match="`filters` must be multiples of groups=8"):
        resnet_ladder(SHAPE, (2, 3), OUTPUTS, (8, 4), normalization="group")
