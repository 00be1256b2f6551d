"""DataFrames given to a model, and models of tables."""

import keras
import numpy as np
import pandas as pd
import pytest

import vae_tf
from vae_tf.data import Table
from vae_tf.errors import DataError
from vae_tf.networks import mlp_decoder, mlp_encoder


def rows(n=300, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    return pd.DataFrame(
        {
            "length": np.exp(1 + 0.5 * z + 0.1 * rng.normal(size=n)),
            "colour": np.where(z + 0.3 * rng.normal(size=n) > 0, "red", "blue"),
            "level": 100 - 20 * z + rng.normal(size=n),
            "visits": rng.poisson(np.exp(2 + 0.5 * z)),
        }
    )


@pytest.fixture(scope="module")
def trained():
    table = Table.from_frame(rows())
    likelihood = table.likelihood()
    encoder = mlp_encoder(table.shape, 2, (32,), features=table.features)
    decoder = mlp_decoder(2, likelihood.parameter_shapes(table.shape), (32,))
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood)
    vae.compile(keras.optimizers.Adam(0.01))
    vae.fit(table.encode(rows()), batch_size=100, epochs=80, verbose=0)
    return table, vae


@pytest.mark.slow
def test_samples_and_reconstructions_are_frames(trained, tmp_path):
    table, vae = trained
    drawn = table.sample(vae, 2000, seed=1)
    assert list(drawn.columns) == ["length", "colour", "level", "visits"]
    assert set(drawn.colour) == {"red", "blue"}
    assert drawn.visits.dtype == rows().visits.dtype
    # What belongs together in the data does so in the draws
    codes = drawn.assign(colour=drawn.colour == "red", length=np.log(drawn.length)).astype(float)
    known = rows().assign(colour=rows().colour == "red", length=np.log(rows().length)).astype(float)
    np.testing.assert_allclose(codes.corr(), known.corr(), atol=0.3)
    assert abs(drawn.level.mean() - 100) < 6
    pd.testing.assert_frame_equal(table.sample(vae, 2000, seed=1), drawn)
    asked = rows(20, 5).set_index(np.arange(100, 120))
    made = table.reconstruct(vae, asked)
    assert made.index.equals(asked.index)
    assert np.corrcoef(made.level, asked.level)[0, 1] > 0.9
    vae.save(tmp_path / "model.keras")
    table.save(tmp_path / "table.json")
    again = keras.models.load_model(tmp_path / "model.keras")
    pd.testing.assert_frame_equal(
        Table.load(tmp_path / "table.json").sample(again, 2000, seed=1), drawn
    )


@pytest.mark.slow
def test_missing_values_are_left_out_of_the_density(trained):
    table, vae = trained
    asked = rows(20, 6)
    asked.loc[3, "colour"] = None
    x, mask, *_ = table.encode(asked)
    z = vae.encode({"x": x, "mask": mask}).mean()
    params = vae.decoder(z)
    by_hand = vae.likelihood.elements(params, x).numpy()
    found = vae.likelihood.log_prob(params, x, mask).numpy()
    np.testing.assert_allclose(found, np.sum(by_hand * mask, 1), rtol=1e-4)
    assert by_hand[3, 1] != 0


@pytest.fixture(scope="module")
def plain():
    likelihood = vae_tf.likelihoods.Gaussian()
    decoder = mlp_decoder(2, likelihood.parameter_shapes((3,)), (8,))
    vae = vae_tf.VAE(mlp_encoder((3,), 2, (8,)), decoder, likelihood=likelihood)
    vae.compile("adam")
    return vae


def test_frames_of_numbers_are_arrays(plain):
    frame = pd.DataFrame({"a": [0.5, 1.5, 2.0], "b": [1, 2, 3], "c": [True, False, True]})
    x = frame.to_numpy("float32")
    np.testing.assert_array_equal(plain.encode(frame).mean(), plain.encode(x).mean())
    nullable = frame.convert_dtypes()
    np.testing.assert_array_equal(plain.encode(nullable).mean(), plain.encode(x).mean())
    plain.fit(frame, sample_weight=pd.Series([1, 2, 1]), validation_data=nullable, verbose=0)
    assert plain.evaluate(frame, verbose=0) == plain.evaluate(x, verbose=0)
    with_gap = nullable.copy()
    with_gap.loc[1, "b"] = pd.NA
    with pytest.raises(
        DataError, match=r"1 NaN or infinite value\(s\), the first at index \(1, 1\)"
    ):
        plain.fit(with_gap, verbose=0)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["x", "y", "x"], "(str|object)"),
        (pd.Categorical(["x", "y", "x"]), "category"),
        (pd.date_range("2020", periods=3), "datetime64"),
        ([1, "x", None], "object"),
    ],
)
def test_other_frames_name_table(plain, values, dtype):
    frame = pd.DataFrame({"a": [0.5, 1.5, 2.0], "b": values, "c": [1, 2, 3]})
    message = f"must hold numbers alone. Received: column 'b' of {dtype}.*Table.from_frame"
    for ask in (plain.fit, plain.encode, plain.reconstruct, plain.evaluate):
        with pytest.raises(DataError, match=message) as caught:
            ask(frame)
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_gaps_are_filled_and_the_rest_is_left_alone(trained):
    table, vae = trained
    known = rows(200, 7).assign(note="as it was").set_index(np.arange(500, 700))
    asked = known.astype({"visits": float})
    asked.iloc[::4, 0], asked.iloc[1::4, 1], asked.iloc[2::4, 3] = np.nan, None, np.nan
    full = table.impute(vae, asked, num_samples=200, method="gibbs")
    assert list(full.columns) == list(asked.columns)
    assert full.index.equals(asked.index)
    assert not full.isna().to_numpy().any()
    for name in asked.columns:
        there = asked[name].notna()
        pd.testing.assert_series_equal(
            full.loc[there, name], asked.loc[there, name], check_dtype=False
        )
    # Closer to what was hidden than the column's own mean is, as the columns depend on each other
    hidden = asked.length.isna()
    away = np.log(full.length[hidden]) - np.log(known.length[hidden])
    assert np.mean(np.square(away)) < 0.5 * np.var(np.log(known.length))
    right = np.mean(full.colour[asked.colour.isna()] == known.colour[asked.colour.isna()])
    assert right > 0.75
    several = table.impute(vae, asked, num_samples=50, num_imputations=3, method="gibbs")
    assert len(several) == 3
    assert not several[0].equals(several[1])
    assert not asked.equals(full)  # the question itself is untouched
