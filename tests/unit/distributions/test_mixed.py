import keras
import numpy as np
import pytest
from scipy import stats

from vae_tf import VAE
from vae_tf.distributions import (
    Bernoulli,
    Categorical,
    GaussianLearnedScale,
    GaussianPixelScale,
    Mixed,
    Poisson,
)
from vae_tf.errors import ConfigError, DataError
from vae_tf.networks import mlp_decoder, mlp_encoder

RNG = np.random.default_rng(0)


def table():
    return Mixed(
        [
            (GaussianPixelScale(), 2),
            (Bernoulli(), 1),
            (Categorical(3), 2),
            (Poisson(), 1),
        ]
    )


def rows(n):
    columns = [
        RNG.normal(size=(n, 2)),
        RNG.integers(0, 2, (n, 1)),
        RNG.integers(0, 3, (n, 2)),
        RNG.poisson(3, (n, 1)),
    ]
    return np.concatenate(columns, 1).astype("float32")


PARAMS = {
    "0_loc": RNG.normal(size=(8, 2)),
    "0_log_scale": RNG.normal(size=(8, 2)) / 3,
    "1_logits": RNG.normal(size=(8, 1)),
    "2_logits": RNG.normal(size=(8, 6)),
    "3_log_rate": RNG.normal(size=(8, 1)),
}


def test_names_and_shapes():
    shapes = table().parameter_shapes((6,))
    assert shapes == {name: value.shape[1:] for name, value in PARAMS.items()}
    assert table().parameters == tuple(shapes)


def test_is_the_sum_over_the_columns():
    x = rows(8)
    p = np.exp(PARAMS["2_logits"].reshape(8, 2, 3))
    p /= p.sum(-1, keepdims=True)
    classes = np.take_along_axis(p, x[:, 3:5, None].astype(int), -1)
    expected = (
        stats.norm.logpdf(x[:, :2], PARAMS["0_loc"], np.exp(PARAMS["0_log_scale"])).sum(1)
        + stats.bernoulli.logpmf(x[:, 2], 1 / (1 + np.exp(-PARAMS["1_logits"][:, 0])))
        + np.log(classes).sum((1, 2))
        + stats.poisson.logpmf(x[:, 5], np.exp(PARAMS["3_log_rate"][:, 0]))
    )
    params = {name: value.astype("float32") for name, value in PARAMS.items()}
    px = table().distribution(params)
    np.testing.assert_allclose(px.log_prob(x), expected, rtol=1e-5)
    statistics = table().statistics(params)
    means = [PARAMS["0_loc"], 1 / (1 + np.exp(-PARAMS["1_logits"])), p.argmax(-1)]
    means.append(np.exp(PARAMS["3_log_rate"]))
    np.testing.assert_allclose(statistics["image"], np.concatenate(means, 1), rtol=1e-5)
    assert set(statistics) == {"image", "0_scale", "2_probabilities"}
    np.testing.assert_allclose(px.mean()[:, 3:5], p @ np.arange(3), rtol=1e-5)


def test_discrete_if_all_parts_are():
    assert not table().discrete
    assert Mixed([(Bernoulli(), 2), (Poisson(), 1)]).discrete


def test_support_names_the_column():
    table().check_support(rows(5), strict=True)
    for column, value, reason in [
        (0, np.inf, "Column 0, GaussianPixelScale: The data must be finite"),
        (2, 2, r"Column 2, Bernoulli: Bernoulli takes data from 0 to 1"),
        (4, 1.5, "Column 4, Categorical: Categorical takes whole numbers"),
        (5, -1, "Column 5, Poisson: Poisson takes data from 0 to"),
    ]:
        bad = rows(5)
        bad[3, column] = value
        with pytest.raises(DataError, match=reason):
            table().check_support(bad)
    grey = rows(5)
    grey[0, 2] = 0.5
    table().check_support(grey)
    with pytest.raises(DataError, match="Column 2, Bernoulli: A Bernoulli log-likelihood"):
        table().check_support(grey, strict=True)
    with pytest.raises(DataError, match=r"Mixed takes rows of 6. Received: shape \(5, 5\)"):
        table().check_support(rows(5)[:, :5])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([], "`columns` must be pairs"),
        ([Bernoulli()], "`columns` must be pairs"),
        ([("bernoulli", 1)], "`likelihood` must be an instance of Likelihood"),
        ([(Bernoulli(), 0)], "`count` must be a whole number of at least 1"),
        ([(Mixed([(Bernoulli(), 1)]), 1)], "A part of Mixed must be of one kind"),
    ],
)
def test_refusals(columns, message):
    with pytest.raises(ConfigError, match=message):
        Mixed(columns)


def test_refuses_one_object_twice_and_other_shapes():
    part = GaussianLearnedScale()
    with pytest.raises(ConfigError, match="Parts must be distinct objects"):
        Mixed([(part, 1), (Bernoulli(), 1), (part, 1)])
    for shape in ((5,), (2, 3), (6, 1)):
        with pytest.raises(ConfigError, match="Mixed takes rows of 6"):
            table().parameter_shapes(shape)
    with pytest.raises(ConfigError, match="Mixed takes rows of 6"):
        VAE(mlp_encoder((7,), 2, (8,)), mlp_decoder(2, {"x": (7,)}, (8,)), likelihood=table())


def test_learned_scales_of_the_parts_are_trained_and_saved(tmp_path):
    likelihood = Mixed([(GaussianLearnedScale(0.5), 1), (GaussianLearnedScale(2.0), 2)])
    encoder = mlp_encoder((3,), 1, (8,))
    decoder = mlp_decoder(1, likelihood.parameter_shapes((3,)), (8,))
    vae = VAE(encoder, decoder, likelihood=likelihood)
    vae.compile(keras.optimizers.Adam(0.05))
    before = [float(v) for v in likelihood.trainable_variables]
    assert before == pytest.approx([np.log(0.5), np.log(2)])
    vae.fit(RNG.normal(size=(64, 3)).astype("float32"), epochs=3, verbose=0)
    after = [float(v) for v in likelihood.trainable_variables]
    assert min(np.abs(np.subtract(after, before))) > 0.01
    vae.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert [float(v) for v in copy.likelihood.trainable_variables] == after
    vae.save_weights(tmp_path / "model.weights.h5")
    for variable in copy.likelihood.trainable_variables:
        variable.assign(7.0)
    copy.load_weights(tmp_path / "model.weights.h5")
    assert [float(v) for v in copy.likelihood.trainable_variables] == after
