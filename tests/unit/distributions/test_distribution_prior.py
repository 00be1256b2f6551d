"""Any `tfd` object as a prior: what is saved of it makes the same one again."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from vae_tf import VAE
from vae_tf.distributions import (
    DiagonalNormal,
    DistributionPrior,
    FullNormal,
    MixtureOfNormals,
    RealNVP,
)
from vae_tf.errors import ConfigError
from vae_tf.networks import mlp_decoder, mlp_encoder

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(20, 3)).astype("float32")
LOC = np.float32([0.5, -1.0, 2.0])
TRIL = np.float32([[1.0, 0, 0], [0.5, 0.7, 0], [-1.0, 0.2, 0.3]])
WEIGHTS, MEANS = [0.3, 0.7], RNG.normal(size=(2, 3)).astype("float32")


def normal(size=3):
    return tfd.Independent(tfd.Normal(tf.zeros(size), 1.0), 1)


def flowed(bijector):
    return tfd.TransformedDistribution(normal(), bijector)


# name: the distribution, and its log-density in float64 without TFP
CASES = {
    "laplace": (
        lambda: tfd.Independent(tfd.Laplace(tf.constant(LOC), 2.0), 1),
        lambda z: stats.laplace.logpdf(z, LOC, 2.0).sum(-1),
    ),
    "student": (
        lambda: tfd.Independent(tfd.StudentT(3.0, LOC, np.float32(1.5)), 1),
        lambda z: stats.t.logpdf(z, 3.0, LOC, 1.5).sum(-1),
    ),
    "sample": (
        lambda: tfd.Sample(tfd.Laplace(1.0, 2.0), 3),
        lambda z: stats.laplace.logpdf(z, 1.0, 2.0).sum(-1),
    ),
    "full": (
        lambda: tfd.MultivariateNormalTriL(LOC, TRIL),
        lambda z: stats.multivariate_normal.logpdf(z, LOC, np.float64(TRIL) @ TRIL.T),
    ),
    "mixture": (
        lambda: tfd.MixtureSameFamily(
            tfd.Categorical(probs=WEIGHTS), tfd.MultivariateNormalDiag(MEANS, tf.ones([2, 3]))
        ),
        lambda z: np.log(
            sum(
                w * stats.multivariate_normal.pdf(z, m) for w, m in zip(WEIGHTS, MEANS, strict=True)
            )
        ),
    ),
    "blockwise": (
        lambda: tfd.Blockwise([normal(2), tfd.Independent(tfd.Laplace([1.0], 1.0), 1)]),
        lambda z: stats.norm.logpdf(z[:, :2]).sum(-1) + stats.laplace.logpdf(z[:, 2], 1.0),
    ),
    "affine": (
        lambda: flowed(tfb.Chain([tfb.Shift(LOC), tfb.ScaleMatvecTriL(TRIL)])),
        lambda z: stats.multivariate_normal.logpdf(z, LOC, np.float64(TRIL) @ TRIL.T),
    ),
    "sinh": (  # z = sinh(u): u = arcsinh(z), du/dz = 1 / sqrt(1 + z^2)
        lambda: flowed(tfb.Sinh()),
        lambda z: (stats.norm.logpdf(np.arcsinh(z)) - 0.5 * np.log1p(z**2)).sum(-1),
    ),
    "permuted": (  # z = sinh of the reversed: the density does not care about the order
        lambda: flowed(tfb.Chain([tfb.Permute([2, 1, 0]), tfb.Invert(tfb.Invert(tfb.Sinh()))])),
        lambda z: (stats.norm.logpdf(np.arcsinh(z)) - 0.5 * np.log1p(z**2)).sum(-1),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_density_survives_a_config(name):
    make, oracle = CASES[name]
    prior = DistributionPrior(make())
    assert prior.latent_dim == 3
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(prior)))
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == prior.get_config()
    expected = make().log_prob(Z)
    np.testing.assert_array_equal(prior.distribution().log_prob(Z), expected)
    np.testing.assert_array_equal(copy.distribution().log_prob(Z), expected)
    np.testing.assert_allclose(expected, oracle(np.float64(Z)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["mixture", "affine"])
def test_the_density_survives_a_file(name, tmp_path):
    encoder = mlp_encoder((4,), 3, (5,))
    decoder = mlp_decoder(3, {"logits": (4,)}, (5,))
    vae = VAE(encoder, decoder, prior=DistributionPrior(CASES[name][0]()))
    vae.save(tmp_path / "m.keras")
    copy = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    expected = CASES[name][0]().log_prob(Z)
    np.testing.assert_array_equal(copy.prior.distribution().log_prob(Z), expected)


def test_works_in_compiled_graphs():
    for name, (make, _) in CASES.items():
        prior = DistributionPrior(make())
        log_prob = tf.function(lambda z, p=prior: p.distribution().log_prob(z), jit_compile=True)
        np.testing.assert_allclose(
            log_prob(Z), prior.distribution().log_prob(Z), rtol=1e-4, atol=1e-5, err_msg=name
        )


class Laplace(tfd.Laplace):
    """The user's own, by the name of TFP's."""


def test_the_users_own_classes_are_refused():
    # By its name it would be saved as TFP's, and come back as another distribution
    with pytest.raises(ConfigError, match="The parts must be classes of TFP"):
        DistributionPrior(tfd.Independent(Laplace(tf.zeros(3), 1.0), 1))
    with pytest.raises(ConfigError, match="The parts must be classes of TFP"):
        DistributionPrior(MixtureOfNormals(3, 2).distribution())
    params = [tf.zeros([1, 2]), tf.zeros([1, 3])]
    with pytest.raises(ConfigError, match="The parts must be classes of TFP"):
        DistributionPrior(FullNormal().distribution(params))


@pytest.mark.parametrize(
    "make",
    [
        lambda: RealNVP(3).distribution(),  # its steps are functions
        lambda: tfd.Independent(tfd.Normal(tf.Variable(tf.zeros(3)), 1.0), 1),
        lambda: tfd.Independent(tfd.Normal(keras.Variable(np.zeros(3, "float32")), 1.0), 1),
        lambda: flowed(tfb.Shift(tf.Variable(LOC))),
        lambda: flowed(tfb.Inline(forward_fn=tf.exp, forward_min_event_ndims=0)),
    ],
)
def test_functions_and_variables_are_refused(make):
    fix = "Subclass vae_tf.priors.Prior"
    with pytest.raises(ConfigError, match=f"Parameters must be numbers or objects of TFP.*{fix}"):
        DistributionPrior(make())


@pytest.mark.parametrize(
    ("make", "received"),
    [
        (lambda: tfd.Independent(tfd.Normal(np.zeros(3), 1.0), 1), "float64"),
        (lambda: tfd.Independent(tfd.Normal(tf.zeros([2, 3]), 1.0), 1), r"batch \(2,\)"),
        (lambda: tfd.Normal(tf.zeros(3), 1.0), r"batch \(3,\), event \(\)"),
        (lambda: tfd.Independent(tfd.Normal(tf.zeros([2, 3]), 1.0), 2), r"event \(2, 3\)"),
        (lambda: tfd.JointDistributionSequential([normal()]), "event"),
    ],
)
def test_other_shapes_and_dtypes_are_refused(make, received):
    expected = "must have batch [], event [latent_dim], dtype float32. Received: "
    with pytest.raises(ConfigError, match=received) as error:
        DistributionPrior(make())
    assert expected in str(error.value)


@pytest.mark.parametrize("thing", [3, None, "normal", tfb.Exp(), tf.zeros(3)])
def test_other_things_are_refused(thing):
    with pytest.raises(ConfigError, match="`distribution` must be an instance of Distribution"):
        DistributionPrior(thing)


def test_knows_whether_it_factorizes():
    assert DistributionPrior(CASES["laplace"][0]()).factorized
    assert not DistributionPrior(CASES["full"][0]()).factorized
    # Independent of nothing: the dimensions inside are not
    inside = tfd.Independent(tfd.MultivariateNormalTriL(LOC, TRIL), 0)
    assert not DistributionPrior(inside).factorized


def test_scales_given_as_one_number_have_a_closed_form_too():
    mean, entries = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 6))
    one = DistributionPrior(tfd.Independent(tfd.Normal(tf.constant(LOC), 2.0), 1))
    many = DistributionPrior(tfd.Independent(tfd.Normal(LOC, np.float32([2.0, 2.0, 2.0])), 1))
    for qz in (
        DiagonalNormal().distribution([mean, mean]),
        FullNormal().distribution([mean, entries]),
    ):
        kl = tfd.kl_divergence(qz, one.distribution())
        np.testing.assert_allclose(kl, tfd.kl_divergence(qz, many.distribution()), rtol=1e-6)
