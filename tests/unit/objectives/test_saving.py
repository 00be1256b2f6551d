"""Everything that can be given to a VAE: configuration, `.keras` files, XLA, half precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_tf import VAE
from vae_tf.distributions import MixtureOfNormals
from vae_tf.objectives import (
    DIPVAE1,
    DIPVAE2,
    ELBO,
    IWAE,
    VIMCO,
    Capacity,
    Constant,
    CosineWarmup,
    Cyclical,
    DReG,
    FactorVAE,
    FreeBits,
    GroupBalance,
    LearnedBaseline,
    LeaveOneOut,
    LinearWarmup,
    MaximumMeanDiscrepancy,
    Renyi,
    RunningMean,
    ScoreFunction,
    StickingTheLanding,
    TotalCorrelation,
)

from ..models.conftest import LATENT_DIM, SHAPE, make

# An entry gives a VAE's arguments, no part of it at its default
MODELS = {
    "ELBO": lambda: {"objective": ELBO(2, closed_form=True)},
    "ELBO, mixture": lambda: {
        "objective": ELBO(2, closed_form=False),
        "prior": MixtureOfNormals(LATENT_DIM, 3),
    },
    "STL": lambda: {"objective": StickingTheLanding(2)},
    "IWAE": lambda: {"objective": IWAE(3)},
    "DReG": lambda: {"objective": DReG(3)},
    "Renyi": lambda: {"objective": Renyi(3, 0.7)},
    "ScoreFunction": lambda: {"objective": ScoreFunction(2)},
    "ScoreFunction, mixture": lambda: {
        "objective": ScoreFunction(2),
        "prior": MixtureOfNormals(LATENT_DIM, 3),
    },
    "RunningMean": lambda: {"objective": ScoreFunction(1, RunningMean(0.8))},
    "LearnedBaseline": lambda: {
        "objective": ScoreFunction(1, LearnedBaseline(SHAPE, (5, 4), seed=3))
    },
    "LeaveOneOut": lambda: {"objective": ScoreFunction(3, LeaveOneOut())},
    "VIMCO": lambda: {"objective": VIMCO(3)},
    "Constant": lambda: {"beta": Constant(0.4)},
    "LinearWarmup": lambda: {"beta": LinearWarmup(2, 0.8)},
    "LinearWarmup, epochs": lambda: {"beta": LinearWarmup(epochs=2)},
    "CosineWarmup": lambda: {"beta": CosineWarmup(epochs=2, beta=0.7)},
    "Cyclical": lambda: {"beta": Cyclical(2, 0.7, cycles=2, rising=0.6)},
    "DReG, LinearWarmup": lambda: {"objective": DReG(3), "beta": LinearWarmup(2)},
    "FreeBits": lambda: {"kl_control": FreeBits(0.2), "objective": StickingTheLanding()},
    "FreeBits, group": lambda: {"kl_control": FreeBits(0.2, "group")},
    "Capacity": lambda: {"kl_control": Capacity(LinearWarmup(2, 2.0), gamma=5.0)},
    "Capacity, constant": lambda: {"kl_control": Capacity(2.0)},
    "GroupBalance": lambda: {"kl_control": GroupBalance(LinearWarmup(epochs=2))},
    "TotalCorrelation": lambda: {"penalties": [TotalCorrelation(2.0, 50)]},
    "FactorVAE": lambda: {"penalties": [FactorVAE(2.0, LATENT_DIM, (6, 5), seed=4)]},
    "DIPVAE1": lambda: {"penalties": [DIPVAE1(2.0)]},
    "DIPVAE2": lambda: {"penalties": [DIPVAE2(2.0, 3.0)]},
    "MMD": lambda: {"penalties": [MaximumMeanDiscrepancy(2.0, (0.5, 2.0))]},
    "several": lambda: {
        "objective": IWAE(3),
        "penalties": [FactorVAE(2.0, LATENT_DIM, (6,)), MaximumMeanDiscrepancy(2.0)],
    },
}


def image(size=20):
    return (np.random.default_rng(0).random((size, *SHAPE)) > 0.5).astype("float32")


def fit(vae, epochs=1, **kwargs):
    return vae.fit(
        image(), batch_size=10, epochs=epochs, shuffle=False, verbose=0, **kwargs
    ).history


def evaluate(vae):
    return vae.evaluate(image(), batch_size=10, return_dict=True, verbose=0)


def small(kind, **options):
    vae = make(**MODELS[kind]())
    vae.compile("adam", **{"run_eagerly": True, **options})
    return vae


PARTS = ("objective", "beta", "kl_control", "penalties")


def config_of(vae):
    return {part: vae.get_config()[part] for part in PARTS}


# One of each kind of state; the others are long proofs
STATES = ("ELBO, mixture", "RunningMean", "LearnedBaseline", "Capacity", "FactorVAE", "several")
KINDS = [kind if kind in STATES else pytest.param(kind, marks=pytest.mark.long) for kind in MODELS]


@pytest.mark.slow_but(3)
@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_is_the_same(kind, tmp_path):
    vae = small(kind)
    fit(vae, 2 if vae.beta.in_epochs or "GroupBalance" in kind else 1)
    vae.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert config_of(copy) == config_of(vae)
    for one, other in zip(vae.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert evaluate(copy) == evaluate(vae)
    # and goes on as the first would have: optimizer, baselines and random numbers were saved
    assert fit(copy) == fit(vae)


@pytest.mark.parametrize("kind", MODELS)
def test_configurations_hold_every_argument(kind):
    vae = small(kind)
    copy = VAE.from_config(vae.get_config())
    assert copy.get_config() == vae.get_config()
    for part in ("objective", "kl_control"):
        one, other = getattr(vae, part), getattr(copy, part)
        assert type(one) is type(other)
        for given in ("num_samples", "closed_form", "alpha", "nats", "per", "gamma"):
            assert getattr(one, given, None) == getattr(other, given, None)
    for one, other in zip(vae.penalties, copy.penalties, strict=True):
        assert type(one) is type(other)
        for given in ("weight", "num_examples", "hidden", "seed", "diagonal_ratio", "scales"):
            assert getattr(one, given, None) == getattr(other, given, None)
    baseline, other = (getattr(m.objective, "baseline", None) for m in (vae, copy))
    assert type(baseline) is type(other)
    assert (baseline and baseline.get_config()) == (other and other.get_config())


def test_the_same_seed_makes_the_same_baseline_and_classifier():
    for kind in ("LearnedBaseline", "FactorVAE"):
        for one, other in zip(small(kind).get_weights(), small(kind).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "kind", [k if k in STATES else pytest.param(k, marks=pytest.mark.slow) for k in MODELS]
)
def test_half_precision_ends_where_the_bound_begins(kind, set_dtype_policy):
    set_dtype_policy("mixed_bfloat16")
    vae = small(kind)
    with tf.GradientTape() as tape:
        terms = vae(image(), seed=tf.constant([1, 2]), training=True)
        loss = tf.reduce_mean(terms.nll) + tf.add_n(vae.losses)
    for term in (terms.nll, terms.kl, terms.kl_term, terms.z, loss, *vae.losses):
        assert term.dtype == "float32"
        assert np.isfinite(term).all()
    assert any(layer.compute_dtype == "bfloat16" for layer in vae.encoder.layers)
    weights = [w.value for w in vae.trainable_weights]
    for weight, gradient in zip(vae.trainable_weights, tape.gradient(loss, weights), strict=True):
        assert gradient is not None, weight.path
        assert gradient.dtype == weight.dtype == "float32"
        assert np.isfinite(gradient).all()


def test_baselines_do_not_round_the_data(set_dtype_policy):
    x, values = tf.fill([1, *SHAPE], 1 + 2.0**-12), []  # more digits than bfloat16 has
    for policy in ("float32", "mixed_bfloat16"):
        set_dtype_policy(policy)
        values.append(LearnedBaseline(SHAPE, (5,), seed=1).value(x, None).numpy())
    np.testing.assert_array_equal(*values)


@pytest.mark.long  # XLA compiles for half a minute; models/test_vae.py has the ELBO in CI
@pytest.mark.parametrize("kind", MODELS)
def test_xla_trains(kind):
    vae, plain = small(kind, run_eagerly=False, jit_compile=True), small(kind)
    history = fit(vae, epochs=4)
    assert np.isfinite(history["loss"]).all()
    plain.set_weights(vae.get_weights())
    plain.optimizer.iterations.assign(vae.optimizer.iterations)
    logs, expected = evaluate(vae), evaluate(plain)
    # XLA draws other numbers from the same seed, on which these do not depend
    exact = isinstance(vae.objective, ELBO) and vae.objective.closed_form is not False
    for name in ("beta", "kl") if exact else ("beta",):
        assert logs[name] == pytest.approx(expected[name], rel=1e-4), name
    assert logs["nll"] == pytest.approx(expected["nll"], rel=0.2)  # 20 examples, other draws


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_graphs_compute_what_eager_code_does(kind):
    eager, graph = small(kind), small(kind, run_eagerly=False, jit_compile=False)
    one, other = fit(eager, epochs=3), fit(graph, epochs=3)
    for name, values in one.items():
        np.testing.assert_allclose(values, other[name], rtol=2e-3, atol=1e-3, err_msg=name)
