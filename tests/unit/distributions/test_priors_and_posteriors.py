import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from vae_tf.distributions import DiagonalNormal, MixtureOfNormals, StandardNormal
from vae_tf.errors import ConfigError

RNG = np.random.default_rng(0)


def test_standard_normal_is_scipys():
    z = RNG.normal(size=(5, 3)).astype("float32")
    expected = stats.norm.logpdf(z).sum(-1)
    np.testing.assert_allclose(StandardNormal(3).distribution().log_prob(z), expected, rtol=1e-5)


@pytest.mark.parametrize("latent_dim", [0, -1, 2.0, True, "2"])
def test_latent_dim_must_be_a_count(latent_dim):
    with pytest.raises(ConfigError, match="`latent_dim` must be a whole number of at least 1"):
        StandardNormal(latent_dim)


def test_diagonal_normal_is_scipys():
    mean, log_var = RNG.normal(size=(2, 4, 3)).astype("float32")
    z = RNG.normal(size=(4, 3)).astype("float32")
    qz = DiagonalNormal().distribution({"z_mean": mean, "z_log_var": log_var})
    expected = stats.norm.logpdf(z, mean, np.exp(log_var / 2)).sum(-1)
    np.testing.assert_allclose(qz.log_prob(z), expected, rtol=1e-5)


def test_parameters_come_as_dict_or_in_order():
    mean, log_var = np.zeros((2, 1, 3), "float32")
    as_dict = DiagonalNormal().statistics({"z_log_var": log_var + 1, "z_mean": mean})
    in_order = DiagonalNormal().statistics([mean, log_var + 1])
    for name in ("z_mean", "z_log_var"):
        np.testing.assert_array_equal(as_dict[name], in_order[name])


@pytest.mark.parametrize("params", [{"loc": 1.0}, [1.0], 1.0, [1.0, 2.0, 3.0]])
def test_other_parameters_are_refused(params):
    with pytest.raises(ConfigError, match=r"needs the network outputs \['z_mean', 'z_log_var'\]"):
        DiagonalNormal().distribution(params)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("log_var", [-1e30, -20.0, 20.0, 1e30])
def test_extreme_log_variances_stay_finite(dtype, log_var):
    mean = tf.zeros([2, 3], dtype)
    qz = DiagonalNormal().distribution([mean, tf.fill([2, 3], tf.cast(log_var, dtype))])
    assert np.isfinite(qz.kl_divergence(StandardNormal(3).distribution())).all()
    assert np.isfinite(qz.sample(seed=[0, 1])).all()


def test_gradient_leads_back_from_beyond_the_bound():
    log_var = tf.Variable([[40.0]])
    with tf.GradientTape() as tape:
        qz = DiagonalNormal().distribution([tf.zeros([1, 1]), log_var])
        kl = qz.kl_divergence(StandardNormal(1).distribution())
    assert tape.gradient(kl, log_var).numpy() > 0  # descent lowers it


@pytest.mark.parametrize(
    "thing", [StandardNormal(3, name="p"), MixtureOfNormals(3, 5), DiagonalNormal(name="q")]
)
def test_survives_serialization(thing):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(thing))
    assert type(copy) is type(thing)
    assert copy.get_config() == thing.get_config()


def test_is_no_layer_of_a_network():
    with pytest.raises(ConfigError, match="is not a layer of a network"):
        DiagonalNormal()(tf.zeros([1, 2]))


def mixture():
    prior = MixtureOfNormals(3, components=4, seed=1)
    prior.logits.assign(RNG.normal(size=4))
    prior.log_scales.assign(RNG.normal(size=(4, 3)))
    return prior


def test_mixture_is_scipys():
    prior, z = mixture(), (3 * RNG.normal(size=(2, 50, 3))).astype("float32")
    means, scales = np.float64(prior.means.numpy()), np.exp(np.float64(prior.log_scales.numpy()))
    weights = np.exp(np.float64(prior.logits.numpy()))
    components = stats.norm.pdf(np.float64(z)[..., None, :], means, scales).prod(-1)
    expected = np.log(components @ (weights / weights.sum()))
    np.testing.assert_allclose(prior.distribution().log_prob(z), expected, rtol=1e-4, atol=1e-4)


def test_mixture_integrates_to_one():
    prior = MixtureOfNormals(1, components=3, seed=2)
    grid = np.linspace(-15, 15, 20_001, dtype="float32")
    density = np.exp(prior.distribution().log_prob(grid[:, None]).numpy().astype("float64"))
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-4)


def test_mixture_samples_have_its_moments():
    prior = mixture()
    z = prior.distribution().sample(100_000, seed=[0, 1]).numpy()
    weights = tf.nn.softmax(prior.logits.value).numpy()
    mean = weights @ prior.means.numpy()
    error = z.std(0) / np.sqrt(len(z))
    assert (np.abs(z.mean(0) - mean) < 5 * error).all()


def test_mixture_learns_by_gradients_from_all_its_parts():
    prior = mixture()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(prior.distribution().log_prob(RNG.normal(size=(9, 3))))
    for gradient in tape.gradient(loss, prior.trainable_variables):
        assert np.any(gradient != 0)


def test_mixture_far_from_the_origin_keeps_its_digits():
    prior = MixtureOfNormals(3, components=4, seed=1)
    z = prior.distribution().sample(50, seed=[1, 1])
    near = prior.distribution().log_prob(z)
    prior.means.assign(prior.means + 1000.0)
    np.testing.assert_allclose(prior.distribution().log_prob(z + 1000.0), near, atol=5e-3)
