"""The model as Keras sees it, and its loss against formulas of its own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import vae_tf
from vae_tf import noise
from vae_tf.errors import ConfigError, DataError
from vae_tf.objectives import LinearWarmup

from .conftest import LATENT_DIM, SHAPE, make


def bernoulli_terms(vae, x, seed):
    """NLL and KL without TFP and without vae_tf's own functions."""
    heads = vae.encoder(x)
    mean, log_var = (heads[name].numpy().astype("float64") for name in ("z_mean", "z_log_var"))
    z = mean + np.exp(log_var / 2) * noise.normals(seed, 0, len(x), mean.shape[1]).numpy()
    logits = vae.decoder(z)["logits"].numpy().astype("float64")
    nll = np.sum(np.logaddexp(0, logits) - x * logits, axis=(1, 2, 3))
    kl = -0.5 * np.sum(1 + log_var - mean**2 - np.exp(log_var), axis=-1)
    return nll, kl


def test_terms_are_the_formulas(x):
    vae = make()
    terms = vae(x, seed=tf.constant([3, 4]))
    nll, kl = bernoulli_terms(vae, x, [3, 4])
    np.testing.assert_allclose(terms.nll, nll, rtol=1e-5)
    np.testing.assert_allclose(terms.kl, kl, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("beta", [1.0, 0.25, 4.0])
def test_the_kl_term_is_an_added_loss(x, beta):
    vae = make(beta=beta)
    terms = vae(x, seed=tf.constant([0, 0]))
    (added,) = vae.losses
    np.testing.assert_allclose(added, beta * np.mean(terms.kl), rtol=1e-6)


@pytest.mark.slow_but(1)
@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_reported_parts_add_up_in_fit_and_evaluate(vae, x, beta):
    vae.beta = vae_tf.objectives.Constant(beta)
    logs = vae.fit(x, epochs=2, batch_size=32, validation_data=(x,), verbose=0).history
    logs = {name: values[-1] for name, values in logs.items()}
    evaluated = vae.evaluate(x, batch_size=32, return_dict=True, verbose=0)
    for part in (logs, {n[4:]: v for n, v in logs.items() if n.startswith("val_")}, evaluated):
        assert part["loss"] == pytest.approx(part["nll"] + beta * part["kl"], rel=1e-5)
        assert part["elbo"] == pytest.approx(-part["nll"] - part["kl"], rel=1e-5)
        assert part["beta"] == beta
    # But for rounding: `fit` takes several batches in one graph
    assert {f"val_{n}": v for n, v in evaluated.items()} == pytest.approx(
        {n: v for n, v in logs.items() if n.startswith("val_")}, rel=1e-6
    )


def test_regularizers_are_in_the_loss_and_reported(x):
    vae = make()
    penalty = keras.regularizers.L2(0.01)
    vae.decoder.layers[1].kernel_regularizer = penalty
    vae.decoder.layers[1].kernel.regularizer = penalty
    logs = vae.evaluate(x, return_dict=True, verbose=0)
    expected = 0.01 * np.sum(np.square(vae.decoder.layers[1].kernel))
    assert logs["regularization"] == pytest.approx(expected, rel=1e-3)
    assert logs["loss"] == pytest.approx(logs["nll"] + logs["kl"] + expected, rel=1e-5)


def test_a_warm_up_moves_beta_with_the_steps(x):
    vae = make(beta=LinearWarmup(4))
    logs = vae.fit(x[:64], epochs=3, batch_size=32, verbose=0).history
    assert logs["beta"] == [pytest.approx(b) for b in (0.125, 0.625, 1.0)]  # means of two steps


def test_gradients_reach_every_variable(vae, x):
    with tf.GradientTape() as tape:
        terms = vae(x, seed=tf.constant([0, 1]), training=True)
        loss = tf.reduce_mean(terms.nll) + sum(vae.losses)
    gradients = tape.gradient(loss, vae.trainable_weights)
    for weight, gradient in zip(vae.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.path
        assert np.any(np.abs(gradient) > 0), weight.path


def test_reparametrized_gradient_is_that_of_the_exact_bound():
    """E_q[-log N(x; w z, 1)] + KL has a closed-form gradient; the mean of many draws meets it."""
    i, j = keras.Input((1,)), keras.Input((1,))
    mean, log_var, loc = (keras.layers.Dense(1, use_bias=False) for _ in range(3))
    encoder = keras.Model(i, {"z_mean": mean(i), "z_log_var": log_var(i)})
    decoder = keras.Model(j, {"loc": loc(j)})
    vae = vae_tf.VAE(encoder, decoder, likelihood=vae_tf.likelihoods.Gaussian(1.0))
    a, b, w = 0.7, -0.4, 1.3
    for layer, value in ((mean, a), (log_var, b), (loc, w)):
        layer.set_weights([np.array([[value]])])
    n = 200_000
    with tf.GradientTape() as tape:  # x = 1 for every example: z_mean = a, z_log_var = b
        terms = vae(tf.ones([n, 1]), seed=tf.constant([5, 6]))
        loss = tf.reduce_mean(terms.nll + terms.kl)
    kernels = [layer.kernel.value for layer in (mean, log_var, loc)]
    gradients = [float(np.squeeze(g)) for g in tape.gradient(loss, kernels)]
    # bound(a, b, w) = ((1 - w a)^2 + w^2 e^b) / 2 + (a^2 + e^b - b - 1) / 2 + const
    expected = [
        -w * (1 - w * a) + a,
        (w**2 * np.exp(b) + np.exp(b) - 1) / 2,
        -a * (1 - w * a) + w * np.exp(b),
    ]
    # each per-example gradient has a standard deviation below 3, so 5 errors of the mean:
    np.testing.assert_allclose(gradients, expected, atol=5 * 3 / np.sqrt(n))


def test_batch_size_does_not_matter(x):
    vae = make()
    qz = vae.encode(x)
    whole = vae.decode(qz.mean()).log_prob(x).numpy()
    parts = [vae.decode(vae.encode(x[i : i + 1]).mean()).log_prob(x[i : i + 1]) for i in range(9)]
    np.testing.assert_allclose(np.concatenate(parts), whole[:9], rtol=1e-5)
    np.testing.assert_allclose(
        vae.predict(x, batch_size=3, verbose=0), vae.predict(x, batch_size=70, verbose=0), atol=1e-6
    )
    kl = [vae.evaluate(x, batch_size=b, return_dict=True, verbose=0)["kl"] for b in (1, 32, 70)]
    np.testing.assert_allclose(kl, kl[0], rtol=1e-5)


def test_evaluate_draws_by_example(x):
    vae, compiled = make(), make()
    compiled.compile("adam", jit_compile=True)
    whole = vae.evaluate(x, batch_size=70, return_dict=True, verbose=0)
    for model, size in ((vae, 32), (vae, 9), (compiled, 35)):
        other = model.evaluate(x, batch_size=size, return_dict=True, verbose=0)
        assert other == pytest.approx(whole, rel=2e-5)


def test_evaluate_repeats_itself(vae, x):
    first = vae.evaluate(x, return_dict=True, verbose=0)
    assert vae.evaluate(x, return_dict=True, verbose=0) == first


def datasets(x):
    y, weight = np.zeros(len(x)), np.ones(len(x))
    return {
        "array": (x, {}),
        "x, y": (x, {"y": x}),
        "x, y, weight": (x, {"y": y, "sample_weight": weight}),
        "x, weight": (x, {"sample_weight": weight}),
        "tf.data x": (tf.data.Dataset.from_tensor_slices(x).batch(32), {}),
        "tf.data (x,)": (tf.data.Dataset.from_tensor_slices((x,)).batch(32), {}),
        "tf.data (x, y)": (tf.data.Dataset.from_tensor_slices((x, y)).batch(32), {}),
        "tf.data (x, y, w)": (tf.data.Dataset.from_tensor_slices((x, y, weight)).batch(32), {}),
        "uint8": (x.astype("uint8"), {}),
        "bool": (x.astype(bool), {}),
    }


@pytest.fixture(scope="module")
def taking():
    """A model that has met other kinds of input, as compiled steps that are shared must bear."""
    return make()


@pytest.mark.slow_but(2)
@pytest.mark.parametrize("kind", datasets(np.zeros((1, 1))))
def test_every_kind_of_input(taking, x, kind):
    (data, kwargs), vae = datasets(x)[kind], taking
    logs = vae.evaluate(data, return_dict=True, verbose=0, **kwargs)
    assert logs["loss"] == pytest.approx(vae.evaluate(x, return_dict=True, verbose=0)["loss"])
    shuffle = {} if isinstance(data, np.ndarray) else {"shuffle": False}
    vae.fit(data, validation_data=data, verbose=0, **kwargs, **shuffle)
    assert vae.predict(data, verbose=0).shape == x.shape


def test_weights_weight(x):
    vae = make()
    weight = np.r_[np.ones(30), np.zeros(40)].astype("float32")
    weighted = vae.evaluate(x, sample_weight=weight, batch_size=70, return_dict=True, verbose=0)
    kl = vae(x, seed=tf.constant([0, 0])).kl.numpy()[:30].mean()
    assert weighted["kl"] == pytest.approx(kl, rel=1e-5)
    assert weighted["loss"] == pytest.approx(weighted["nll"] + weighted["kl"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"run_eagerly": True},
        {"steps_per_execution": 3},
        pytest.param({"jit_compile": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_ways_to_run_agree(x, options):
    plain, other = make(), make()
    other.compile(optimizer="adam", **options)
    histories = [
        m.fit(x, epochs=2, batch_size=10, shuffle=False, verbose=0).history for m in (plain, other)
    ]
    # XLA draws other numbers from the same seed: its losses differ as two seeds' do
    rtol = 0.05 if options.get("jit_compile") else 1e-4
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=rtol)


def test_generation(vae, x):
    images = vae.sample(5, seed=1)
    assert images.shape == (5, *SHAPE)
    np.testing.assert_array_equal(images, vae.sample(5, seed=1))
    assert not np.array_equal(images, vae.sample(5, seed=2))
    assert not np.array_equal(vae.sample(5), vae.sample(5))
    assert vae.sample(0, seed=0).shape == (0, *SHAPE)
    np.testing.assert_allclose(vae.predict(x, verbose=0), vae.reconstruct(x), atol=1e-6)
    path = vae.interpolate(x[0], x[1], steps=5)
    np.testing.assert_allclose(path[0], vae.reconstruct(x[:1])[0], atol=1e-6)
    np.testing.assert_allclose(path[-1], vae.reconstruct(x[1:2])[0], atol=1e-6)
    middle = (vae.encode(x[:1]).mean() + vae.encode(x[1:2]).mean()) / 2
    np.testing.assert_allclose(path[2], vae.decode(middle).mean()[0], atol=1e-6)
    assert vae.interpolate(x[:3], x[3:6], steps=4).shape == (3, 4, *SHAPE)


def test_samples_follow_the_prior():
    vae = make()
    z = vae.prior.distribution().sample(50_000, seed=[1, 1])
    expected = vae.decode(z).mean().numpy()
    images = vae.sample(50_000, seed=3).numpy()
    error = np.sqrt(expected.var(0) / 25_000)  # of the difference of two means
    assert (np.abs(images.mean(0) - expected.mean(0)) < 5 * error + 1e-6).all()


def test_refusals(x):
    vae = make()
    with pytest.raises(ConfigError, match="brings its own loss"):
        vae.compile(loss="mse")
    with pytest.raises(ConfigError, match="weighted_metrics"):
        vae.compile(weighted_metrics=["mae"])
    with pytest.raises(ConfigError, match="exported as two halves"):
        vae.export("anywhere")
    with pytest.raises(ConfigError, match="`num_samples` must be a whole number of at least 0"):
        vae.sample(-1)
    with pytest.raises(ConfigError, match="`steps` must be a whole number of at least 2"):
        vae.interpolate(x[0], x[1], steps=1)
    with pytest.raises(ConfigError, match="`a` and `b` must have one shape"):
        vae.interpolate(x[0], x[:2])
    with pytest.raises(ConfigError, match="`seed`"):
        make(seed=-1)


BAD_DATA = {
    "0-255": (lambda x: x * 255, "from 0 to 1. Received: min=0, max=255. Divide"),
    "NaN": (lambda x: np.where(x == 1, np.nan, x), "NaN or infinite"),
    "shape": (lambda x: x[:, :3], r"must be \[B, 4, 3, 1\].*shape \(70, 3, 3, 1\)"),
    "no channel": (lambda x: x[..., 0], r"must be \[B, 4, 3, 1\]"),
    "empty": (lambda x: x[:0], "must hold examples"),
    "objects": (lambda x: np.array([x[:1], x[:2]], dtype=object), "must be numbers"),
}


@pytest.mark.parametrize("kind", BAD_DATA)
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: (x, x)], ids=["x", "(x, y)"])
def test_bad_arrays_are_refused_before_training(x, kind, wrap):
    spoil, message = BAD_DATA[kind]
    vae = make()
    bad = spoil(x)
    with pytest.raises(DataError, match=message):
        vae.fit(x, validation_data=wrap(bad), verbose=0)
    with pytest.raises(DataError, match=message):
        vae.evaluate(bad, verbose=0)
    with pytest.raises(DataError, match=message):
        vae.fit(bad, verbose=0)
    assert vae.optimizer.iterations == 0


def test_bad_datasets_are_refused_before_training(x):
    vae = make()
    for bad, message in [(x * 255, "from 0 to 1"), (x[:0], "an empty dataset")]:
        with pytest.raises(DataError, match=message):
            vae.fit(tf.data.Dataset.from_tensor_slices(bad).batch(8), verbose=0, shuffle=False)


def test_halves_that_do_not_meet():
    from vae_tf.distributions import Bernoulli, GaussianPixelScale, StandardNormal
    from vae_tf.networks import mlp_decoder, mlp_encoder

    encoder = mlp_encoder(SHAPE, LATENT_DIM, (4,))
    decoder = mlp_decoder(LATENT_DIM, {"logits": SHAPE}, (4,))
    with pytest.raises(ConfigError, match=r"encoder must put out .* z_mean \[B, 2\]"):
        vae_tf.VAE(mlp_encoder(SHAPE, 3, (4,)), decoder)
    with pytest.raises(ConfigError, match=r"decoder must put out .*logits \[B, 4, 3, 1\]"):
        vae_tf.VAE(encoder, mlp_decoder(LATENT_DIM, {"logits": (4, 4, 1)}, (4,)))
    with pytest.raises(ConfigError, match=r"GaussianPixelScale needs: loc .*, log_scale"):
        vae_tf.VAE(encoder, decoder, likelihood=GaussianPixelScale())
    with pytest.raises(ConfigError, match="prior's latent_dim=5"):
        vae_tf.VAE(encoder, decoder, prior=StandardNormal(5))
    assert vae_tf.VAE(encoder, decoder, likelihood=Bernoulli()).event_shape == SHAPE


def test_parts_must_be_objects():
    encoder, decoder = make().encoder, make().decoder
    for part in ("prior", "posterior", "likelihood"):
        for wrong in ("normal", getattr(make(), part).__class__):
            with pytest.raises(ConfigError, match=f"`{part}` must be an instance of"):
                vae_tf.VAE(encoder, decoder, **{part: wrong})


def test_outputs_are_known_by_their_names():
    image = keras.Input(SHAPE)
    h = keras.layers.Flatten()(image)
    decoder = make().decoder
    wrong = {"mu": keras.layers.Dense(2)(h), "logvar": keras.layers.Dense(2)(h)}
    with pytest.raises(ConfigError, match=r"mu \[B, 2\], logvar \[B, 2\]"):
        vae_tf.VAE(keras.Model(image, wrong), decoder)
    heads = {"z_mean": keras.layers.Dense(2)(h), "z_log_var": keras.layers.Dense(1)(h)}
    with pytest.raises(ConfigError, match=r"Received: z_mean \[B, 2\], z_log_var \[B, 1\]"):
        vae_tf.VAE(keras.Model(image, heads), decoder)
    nameless = keras.Model(image, [keras.layers.Dense(2)(h), keras.layers.Dense(2)(h)])
    with pytest.raises(ConfigError, match=r"needs: z_mean \[B, 2\]"):
        vae_tf.VAE(nameless, decoder)
    mean, log_var = (keras.layers.Dense(2, name=name)(h) for name in ("z_mean", "z_log_var"))
    for outputs in ([mean, log_var], [log_var, mean]):
        encoder = keras.Model(image, outputs)
        vae = vae_tf.VAE(encoder, decoder)
        x = np.ones((3, *SHAPE), "float32")
        expected = keras.Model(image, mean)(x)
        np.testing.assert_allclose(vae.encode(x).mean(), expected, rtol=1e-6)


class Unbuilt(keras.Model):
    """A decoder whose output broadcasts against the data."""

    def __init__(self, shape):
        super().__init__()
        self.dense = keras.layers.Dense(int(np.prod(shape)))
        self.reshape = keras.layers.Reshape(shape)

    def call(self, z):
        return self.reshape(self.dense(z))


def test_a_decoder_that_would_broadcast_is_refused(x):
    prior = vae_tf.priors.StandardNormal(LATENT_DIM)
    vae = vae_tf.VAE(make().encoder, Unbuilt((*SHAPE[:2], 3)), prior=prior)
    vae.compile()
    with pytest.raises(ValueError, match=r"must describe data \[B, 4, 3, 1\]"):
        vae.fit(x, verbose=0)
    with pytest.raises(ConfigError, match=r"must describe data \[B, 4, 3, 1\]"):
        vae_tf.log_likelihood(vae, x, 2)
    good = vae_tf.VAE(make().encoder, Unbuilt(SHAPE), prior=prior)
    good.compile()
    assert np.isfinite(good.fit(x, verbose=0).history["loss"]).all()


def test_weights_of_validation_data_weight(x):
    weight = np.r_[np.ones(30), np.zeros(40)].astype("float32")
    vae = make()
    expected = vae.evaluate(x, sample_weight=weight, return_dict=True, verbose=0)["kl"]
    vae.trainable = False
    for data in ((x, None, weight), (x, x, weight)):
        logs = vae.fit(x, validation_data=data, verbose=0).history
        assert logs["val_kl"][0] == pytest.approx(expected, rel=1e-5)


def test_keras_positional_arguments(x):
    vae = make()
    assert len(vae.fit(x, None, 32, 2, 0).history["loss"]) == 2
    assert len(vae.evaluate(x, None, 32, 0)) == len(vae.metrics_names) - 1  # no regularization


def test_tuples_lists_and_dicts_as_x(x):
    vae = make()
    vae.fit((x, x), verbose=0)
    vae.fit({"x": x, "weight": np.ones(len(x))}, verbose=0)
    with pytest.raises(DataError, match=r"must have the key x. Received: the keys \['image'\]"):
        vae.fit({"image": x}, verbose=0)
    with pytest.raises(DataError, match=r"a tuple of 4\. Pass an array x; "):
        vae.fit((x, x, x, x), verbose=0)
    with pytest.raises(DataError, match="examples of mixed sizes"):
        vae.fit([x[0], x[1][:2]], verbose=0)
    vae.fit(list(x), validation_data=[x, x], verbose=0)


def test_float16_scales_its_loss(set_dtype_policy):
    set_dtype_policy("mixed_float16")
    vae = make()
    assert isinstance(vae.optimizer, keras.optimizers.LossScaleOptimizer)
    set_dtype_policy("float32")
    assert not isinstance(make().optimizer, keras.optimizers.LossScaleOptimizer)
