"""The mixture of posteriors at learned pseudo-inputs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from vae_tf import VAE
from vae_tf.distributions import (
    DiagonalNormal,
    FullNormal,
    Gaussian,
    InverseAutoregressive,
    Joint,
    JointPosterior,
    StandardNormal,
    VampPrior,
)
from vae_tf.errors import ConfigError, DataError
from vae_tf.networks import mlp_decoder, mlp_encoder

SHAPE, L, K = (3, 2), 2, 4
RNG = np.random.default_rng(0)
X = (RNG.random((30, *SHAPE)) > 0.5).astype("float32")
Z = RNG.normal(size=(7, L)).astype("float32")


def make(prior=None, posterior=None, **kwargs):
    posterior = posterior or DiagonalNormal()
    prior = prior or VampPrior.from_data(L, X, K)
    prior.logits.assign(np.arange(K) / 2) if isinstance(prior, VampPrior) else None
    shapes = posterior.parameter_shapes(L)
    encoder = mlp_encoder(SHAPE, L, (5,), outputs=shapes, seed=1)
    decoder = mlp_decoder(L, {"logits": SHAPE}, (5,), seed=2)
    vae = VAE(encoder, decoder, prior=prior, posterior=posterior, **kwargs)
    vae.compile("adam", run_eagerly=True)
    return vae


def by_hand(vae, u, z):
    """Returns the log-density in float64 from what the encoder puts out at `u`."""
    params = {k: np.float64(v.numpy()) for k, v in vae.encoder(np.float32(u)).items()}
    log_w = special.log_softmax(np.float64(vae.prior.logits.numpy()))
    std = np.exp(params["z_log_var"] / 2)
    inside = stats.norm.logpdf(np.float64(z)[:, None], params["z_mean"], std).sum(-1)
    return special.logsumexp(log_w + inside, -1)


def test_density_is_the_mixture_of_the_encoders_outputs():
    vae = make()
    expected = by_hand(vae, vae.prior.pseudo_inputs.numpy(), Z)
    np.testing.assert_allclose(vae.prior.distribution().log_prob(Z), expected, rtol=1e-4)
    batches = vae.prior.distribution().log_prob(Z.reshape(7, 1, L))
    np.testing.assert_allclose(batches[:, 0], expected, rtol=1e-4)


def test_narrow_components_keep_their_digits():
    """Posteriors of standard deviation 1e-3, far from the origin."""
    prior = VampPrior(1, (1,), 2, value_range=None)
    prior.pseudo_inputs.assign([[100.0], [100.01]])
    q = DiagonalNormal()
    prior.bind(lambda u: q.distribution([u, tf.fill(tf.shape(u), 2 * np.log(np.float32(1e-3)))]))
    z = prior.pseudo_inputs.numpy() + np.float32(1e-3) * np.float32([[1.0], [-2.0]])
    inside = stats.norm.logpdf(np.float64(z), np.float64(prior.pseudo_inputs.numpy()).T, 1e-3)
    expected = special.logsumexp(inside, -1) - np.log(2)
    # TFP forms z / s - m / s: 2 roundings of 1e5 in float32, 0.008 at most, times |z - m| / s
    np.testing.assert_allclose(prior.distribution().log_prob(z), expected, atol=0.008 * 2)


def test_pseudo_inputs_stay_in_range():
    vae = make()
    wild = RNG.normal(size=(K, *SHAPE)) * 5
    vae.prior.pseudo_inputs.assign(wild)
    expected = by_hand(vae, np.clip(wild, 0, 1), Z)
    np.testing.assert_allclose(vae.prior.distribution().log_prob(Z), expected, rtol=1e-4)
    free = make(VampPrior(L, SHAPE, K, value_range=None))
    free.prior.pseudo_inputs.assign(wild)
    expected = by_hand(free, wild, Z)
    np.testing.assert_allclose(free.prior.distribution().log_prob(Z), expected, rtol=1e-4)


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-2, 3)])
def test_starts_spread_over_the_range(value_range):
    u = VampPrior(L, (200,), 5, value_range, seed=3).pseudo_inputs.numpy()
    assert stats.kstest(u.ravel(), stats.uniform(value_range[0], np.ptp(value_range)).cdf)[1] > 1e-5


def test_gradients_reach_pseudo_inputs_logits_and_encoder():
    vae = make()
    wild = 3 * RNG.normal(size=(K, *SHAPE))  # also from outside the range
    vae.prior.pseudo_inputs.assign(wild)
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(vae.prior.distribution().log_prob(Z))
    weights = vae.prior.trainable_variables + vae.encoder.trainable_variables
    gradients = tape.gradient(loss, weights)
    assert len(vae.prior.trainable_variables) == 2
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert np.any(gradient != 0)


def test_draws_have_the_mixtures_moments():
    vae, n = make(), 20_000
    params = {k: np.float64(v.numpy()) for k, v in vae.encoder(vae.prior.pseudo_inputs).items()}
    w = special.softmax(np.arange(K) / 2)
    mean = w @ params["z_mean"]
    var = w @ (np.exp(params["z_log_var"]) + params["z_mean"] ** 2) - mean**2
    noise = tf.random.stateless_normal([n, L], [0, 1]), tf.random.stateless_uniform([n], [2, 3])
    pz = vae.prior.distribution()
    for z in (pz.sample(n, seed=[4, 5]), vae.prior.from_noise(*noise)):
        assert (np.abs(z.numpy().mean(0) - mean) < 4.5 * np.sqrt(var / n)).all()
        np.testing.assert_allclose(z.numpy().var(0), var, rtol=4.5 * np.sqrt(6 / n))
    parts = vae.prior.mixture()
    np.testing.assert_allclose(parts["weights"], w, rtol=1e-5)
    np.testing.assert_allclose(parts["loc"], params["z_mean"], rtol=1e-5)
    np.testing.assert_allclose(parts["scale"], np.exp(params["z_log_var"] / 2), rtol=1e-5)


def test_from_data_starts_at_examples():
    prior = VampPrior.from_data(L, X[:10], 10, seed=3)
    np.testing.assert_array_equal(prior.pseudo_inputs, X[:10])
    chosen = VampPrior.from_data(L, X, 4, seed=3).pseudo_inputs.numpy()
    assert all((u == X).all((1, 2)).any() for u in chosen)
    other = VampPrior.from_data(L, RNG.random((30, *SHAPE)), 4, seed=4).pseudo_inputs.numpy()
    assert len(np.unique(other.reshape(4, -1), axis=0)) == 4  # no example twice


def test_from_data_refuses_what_it_could_not_start_at():
    with pytest.raises(DataError, match="31 components need as many examples"):
        VampPrior.from_data(L, X, 31)
    with pytest.raises(ConfigError, match="`components` must be a whole number"):
        VampPrior.from_data(L, X, "4")
    # The density would be of other inputs than the examples
    with pytest.raises(DataError, match=r"must be within \[0, 1\].*value_range=None"):
        VampPrior.from_data(L, X * 255, 4)
    prior = VampPrior.from_data(L, X * 255, 4, value_range=None)
    assert prior.pseudo_inputs.numpy().max() == 255


@pytest.mark.parametrize("value_range", [(1.0, 0.0), (0.0,), (0.0, np.inf), (1, 1)])
def test_other_ranges_are_refused(value_range):
    with pytest.raises(ConfigError, match=r"`value_range` must be \(low, high\)"):
        VampPrior(L, SHAPE, K, value_range)


def test_before_it_is_part_of_a_model():
    prior = VampPrior(L, SHAPE, K)
    for method in (prior.distribution, prior.mixture):
        with pytest.raises(ConfigError, match="A VampPrior needs the encoder of its model"):
            method()


def test_trains_and_survives_a_file(tmp_path):
    vae = make()
    assert np.isfinite(vae.fit(X, verbose=0).history["loss"]).all()
    vae.save(tmp_path / "m.keras")
    copy = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    assert copy.prior.get_config() == vae.prior.get_config()
    before = vae.prior.distribution().log_prob(Z).numpy()
    np.testing.assert_array_equal(copy.prior.distribution().log_prob(Z), before)
    for w in copy.encoder.weights:  # it is made of the loaded model's encoder
        w.assign(w + 0.1)
    assert np.all(copy.prior.distribution().log_prob(Z) != before)
    np.testing.assert_array_equal(vae.prior.distribution().log_prob(Z), before)


@pytest.mark.parametrize(
    "posterior",
    [
        FullNormal(),
        InverseAutoregressive(L, 2, 2, (3,)),
        JointPosterior([DiagonalNormal(), FullNormal()], [1, 1]),
    ],
    ids=lambda p: type(p).__name__,
)
def test_other_posteriors(posterior):
    """Their mixture has no closed form of draws; the model trains, in graphs too."""
    vae = make(posterior=posterior)
    assert vae.prior.mixture() is None
    assert vae.prior.from_noise(tf.zeros([3, L]), tf.zeros(3)) is None
    # sum_k w_k q(z|u_k), one component at a time
    u = np.clip(vae.prior.pseudo_inputs.numpy(), 0, 1)
    w = special.softmax(np.arange(K) / 2)
    inside = [vae.encode(u[k : k + 1]).log_prob(Z).numpy() for k in range(K)]
    expected = special.logsumexp(np.stack(inside, -1) + np.log(w), -1)
    log_prob = tf.function(lambda z: vae.prior.distribution().log_prob(z))
    np.testing.assert_allclose(log_prob(Z), expected, rtol=1e-4)
    assert np.isfinite(vae(X, seed=[0, 1]).kl).all()
    assert vae.prior.distribution().sample(3, seed=[0, 1]).shape == (3, L)


def test_as_part_of_a_joint_prior(tmp_path):
    posterior = JointPosterior([DiagonalNormal(), DiagonalNormal()], [1, 1])
    vae = make(Joint([StandardNormal(1), VampPrior.from_data(1, X, K)]), posterior)
    assert np.isfinite(vae.fit(X, verbose=0).history["loss"]).all()
    params = vae.encoder(np.clip(vae.prior.parts[1].pseudo_inputs.numpy(), 0, 1))
    log_w = special.log_softmax(np.float64(vae.prior.parts[1].logits.numpy()))
    mean, log_var = (np.float64(params[f"group_1_{k}"].numpy()) for k in ("z_mean", "z_log_var"))
    inside = stats.norm.logpdf(Z[:, 1:], mean.T, np.exp(log_var / 2).T)
    expected = special.logsumexp(inside + log_w, -1) + stats.norm.logpdf(Z[:, 0])
    np.testing.assert_allclose(vae.prior.distribution().log_prob(Z), expected, rtol=1e-4)
    vae.save(tmp_path / "m.keras")
    copy = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    np.testing.assert_allclose(copy.prior.distribution().log_prob(Z), expected, rtol=1e-4)


def test_a_joint_prior_of_posteriors_needs_their_groups():
    with pytest.raises(ConfigError, match=r"needs its group of q\(z\|x\).*JointPosterior"):
        make(Joint([StandardNormal(1), VampPrior.from_data(1, X, K)]))(X)


def test_pseudo_inputs_of_another_shape_are_refused():
    for shape in ((6,), (2, 3), (3, 2, 1)):
        with pytest.raises(ConfigError, match="VampPrior must hold examples as the encoder takes"):
            make(VampPrior(L, shape, K))


def test_half_precision_networks_and_compiled_graphs(set_dtype_policy):
    set_dtype_policy("mixed_bfloat16")
    vae = make()
    assert all(w.dtype == "float32" for w in vae.prior.variables)

    @tf.function(jit_compile=True)
    def graph(z):
        pz = vae.prior.distribution()
        return pz.log_prob(z), pz.sample(3, seed=[0, 1])

    log_prob, draws = graph(Z)
    assert log_prob.dtype == draws.dtype == tf.float32
    # bfloat16 keeps 8 bits of the hidden layer, and compiled graphs may keep more
    np.testing.assert_allclose(log_prob, vae.prior.distribution().log_prob(Z), rtol=0.05)


def test_data_without_bounds():
    x = RNG.normal(size=(20, 6)).astype("float32")
    prior = VampPrior.from_data(L, x, 5, value_range=None)
    encoder, decoder = mlp_encoder((6,), L, (5,)), mlp_decoder(L, {"loc": (6,)}, (5,))
    vae = VAE(encoder, decoder, prior=prior, likelihood=Gaussian(1.0))
    assert np.isfinite(vae(x, seed=[0, 1]).kl).all()
