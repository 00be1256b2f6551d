"""What a user calls one image at a time: compiled, and still the model as it is at the time."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_tf import VAE
from vae_tf.distributions import ContinuousBernoulli, DiagonalNormal, LearnedNormal
from vae_tf.errors import ConfigError, DataError
from vae_tf.models import parts
from vae_tf.objectives import FreeBits, LinearWarmup

from .conftest import LATENT_DIM, SHAPE, make


def test_compiled_methods_are_the_networks(vae, x):
    heads = vae.encoder(x)
    q = vae.encode(x)
    np.testing.assert_allclose(q.mean(), heads["z_mean"], rtol=1e-5, atol=1e-6)
    log_var = 2 * np.log(q.stddev())
    np.testing.assert_allclose(log_var, heads["z_log_var"], rtol=1e-5, atol=1e-5)
    z = q.mean()
    mean = vae.likelihood.distribution(vae.decoder(z)).mean()
    np.testing.assert_allclose(vae.decode(z).mean(), mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(vae.reconstruct(x), mean, rtol=1e-5, atol=1e-6)


def test_batches_of_all_sizes_share_a_graph(x):
    vae = make()
    for size in (1, 7, 70, 3, 0):
        assert vae.encode(x[:size]).mean().shape == (size, LATENT_DIM)
        assert vae.reconstruct(x[:size]).shape == (size, *SHAPE)
    count = vae.generator.encoded.function.experimental_get_tracing_count()
    assert count <= 2  # one of a size, one of all sizes


def test_training_is_seen(x):
    vae = make()
    before = vae.encode(x).mean().numpy(), vae.sample(5, seed=0).numpy()
    vae.fit(x, epochs=1, verbose=0)
    np.testing.assert_allclose(vae.encode(x).mean(), vae.encoder(x)["z_mean"], rtol=1e-5, atol=1e-6)
    assert not np.allclose(vae.encode(x).mean(), before[0])
    assert not np.allclose(vae.sample(5, seed=0), before[1])


def test_gradients_pass(x):
    vae = make()
    x = tf.constant(x)
    found = []
    for encode in (lambda: vae.encode(x).mean(), lambda: vae.encoder(x)["z_mean"]):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(encode() ** 2)
        found.append(tape.gradient(total, [x, *vae.encoder.trainable_variables[:2]]))
    for compiled, direct in zip(*found, strict=True):
        np.testing.assert_allclose(compiled, direct, rtol=1e-4, atol=1e-6)


def test_training_mode_is_kept():
    encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5, seed=0)])
    x = keras.Input((4,))
    h = encoder(x)
    heads = {name: keras.layers.Dense(2, name=name)(h) for name in ("z_mean", "z_log_var")}
    z = keras.Input((2,))
    decoder = keras.Model(z, {"logits": keras.layers.Dense(4)(z)})
    vae = VAE(keras.Model(x, heads), decoder)
    ones = np.ones((50, 4), "float32")
    assert np.ptp(vae.encode(ones).mean()[:, 0]) == 0
    assert np.ptp(vae.encode(ones, training=True).mean()[:, 0]) > 0


class Shifted(DiagonalNormal):
    def point(self, params):
        return super().point(params) + 1.0


def trained_half(name, x):
    other = make()
    other.fit(x, epochs=1, verbose=0)
    return getattr(other, name)


def far_prior(x):
    prior = LearnedNormal(LATENT_DIM)
    prior.trainable_weights[0].assign([5.0, -5.0])
    return prior


REPLACEMENTS = {
    "encoder": lambda x: trained_half("encoder", x),
    "decoder": lambda x: trained_half("decoder", x),
    "prior": far_prior,
    "posterior": lambda x: Shifted(),
    "likelihood": lambda x: ContinuousBernoulli(),
}


def test_another_part_is_another_graph(x):
    assert set(REPLACEMENTS) == set(parts.NAMES)
    vae = make()
    before = [f.numpy() for f in (vae.sample(4, seed=1), vae.reconstruct(x))]
    for part, replacement in REPLACEMENTS.items():
        other = vae.replace(**{part: replacement(x)})
        after = [f.numpy() for f in (other.sample(4, seed=1), other.reconstruct(x))]
        assert not all(np.allclose(a, b) for a, b in zip(before, after, strict=True)), part
        again = (vae.sample(4, seed=1), vae.reconstruct(x))
        for ours, theirs in zip(before, again, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_parts_cannot_be_assigned(x):
    vae = make()
    vae.fit(x, verbose=0)
    for part, replacement in {**REPLACEMENTS, "objective": lambda x: vae.objective}.items():
        with pytest.raises(ConfigError, match=rf"`{part}` .* Make .*vae\.replace\({part}=\.\.\.\)"):
            setattr(vae, part, replacement(x))


def test_settings_of_parts_cannot_be_assigned():
    vae = make(kl_control=FreeBits(0.1), beta=LinearWarmup(5))
    changes = [
        lambda: setattr(vae.objective, "num_samples", 5),
        lambda: setattr(vae.prior, "latent_dim", 5),
        lambda: setattr(vae.kl_control, "nats", 5.0),
        lambda: setattr(vae.beta, "beta", 5.0),
    ]
    for change in changes:
        with pytest.raises(ConfigError, match=r"that belongs to a model cannot be assigned"):
            change()
    vae.prior.trainable = False


def test_replace_shares_weights_and_compiles(x):
    vae = make()
    vae.fit(x, epochs=2, verbose=0)
    other = vae.replace(prior=far_prior(x))
    assert other.encoder is vae.encoder
    assert int(other.clock.steps) == int(vae.clock.steps) > 0
    logs, ours = (m.evaluate(x, verbose=0, return_dict=True) for m in (other, vae))
    assert logs["nll"] == pytest.approx(ours["nll"])
    assert logs["kl"] > ours["kl"] + 10
    with pytest.raises(ConfigError, match=r"takes the arguments of the constructor.*bta"):
        vae.replace(bta=2.0)


def test_beta_may_be_assigned_at_any_time(x):
    vae = make()

    @tf.function
    def term(x):
        return tf.reduce_mean(vae(x, seed=tf.constant([0, 0])).kl_term)

    class Setter(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.beta = 0.5 * epoch

    at_one = float(term(x))
    logs = vae.fit(x, epochs=3, verbose=0, callbacks=[Setter()]).history
    assert logs["beta"] == [0.0, 0.5, 1.0]
    vae.beta = 0.0
    assert float(term(x)) == 0.0 < at_one
    vae.beta = LinearWarmup(10**6)
    with pytest.warns(match="this run ends after"):
        seen = vae.fit(x, verbose=0).history["beta"]
    assert 0 < seen[0] < 1e-3
    vae.beta = 2.0
    assert vae.evaluate(x, verbose=0, return_dict=True)["beta"] == 2.0


def test_compile_sees_layers_that_changed_in_place(x):
    vae = make()
    vae.encode(x)
    layer = vae.encoder.get_layer("z_mean_output")
    layer.enable_lora(2)
    layer.lora_kernel_a.assign(tf.ones_like(layer.lora_kernel_a))
    layer.lora_kernel_b.assign(tf.ones_like(layer.lora_kernel_b))
    vae.compile("adam")
    np.testing.assert_allclose(vae.encode(x).mean(), vae.encoder(x)["z_mean"], rtol=1e-4)


@pytest.mark.parametrize(
    ("call", "expected", "received"),
    [
        (lambda vae: vae.encode(np.zeros(SHAPE)), "[B, 4, 3, 1]", "shape (4, 3, 1)"),
        (lambda vae: vae.encode(tf.zeros((2, 5, 3, 1))), "[B, 4, 3, 1]", "shape (2, 5, 3, 1)"),
        (lambda vae: vae.reconstruct(np.zeros(SHAPE)), "[B, 4, 3, 1]", "x[None]"),
        (lambda vae: vae.encode("a picture"), "must be numbers", "<U9"),
        (lambda vae: vae.encode([[1.0], [1.0, 2.0]]), "must be numbers", "mixed sizes"),
        (lambda vae: vae.decode(np.zeros(2)), "[B, 2]", "shape (2,)"),
        (lambda vae: vae.decode(np.zeros((5, 3))), "[B, 2]", "shape (5, 3)"),
        (lambda vae: vae.decode(1.0), "[B, 2]", "shape ()"),
    ],
)
def test_what_is_no_batch_is_refused(call, expected, received):
    with pytest.raises(DataError) as caught:
        call(make())
    assert expected in str(caught.value)
    assert received in str(caught.value)


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e300])
def test_latents_that_are_not_finite_are_refused(vae, number):
    z = np.zeros((2, LATENT_DIM))
    z[1, 0] = number
    with pytest.raises(DataError, match="The latents to decode must be finite"):
        vae.decode(z)
