"""The benchmarks of docs/results.md, made short, and the formula behind rate and distortion."""

import json
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import vae_tf

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmarks():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import aevb_bound
        import aevb_marginal
        import rate_distortion

        yield SimpleNamespace(
            bound=aevb_bound, marginal=aevb_marginal, rate_distortion=rate_distortion
        )


@pytest.mark.slow
def test_a_linear_vae_reaches_reverse_water_filling(benchmarks):
    variances, scale = np.array([4.0, 1.5, 0.5, 0.1]), 0.5
    draws = np.random.default_rng(0).normal(size=(4000, 4))
    white = np.linalg.qr(draws - draws.mean(0))[0] * np.sqrt(len(draws))
    x = (white * np.sqrt(variances)).astype("float32")  # of exactly these variances
    i, j = keras.Input((4,)), keras.Input((4,))
    log_var = keras.layers.Dense(4, kernel_initializer="zeros")
    encoder = keras.Model(i, {"z_mean": keras.layers.Dense(4)(i), "z_log_var": log_var(i)})
    decoder = keras.Model(j, {"loc": keras.layers.Dense(4)(j)})
    vae = vae_tf.VAE(encoder, decoder, likelihood=vae_tf.likelihoods.Gaussian(scale))
    log_var.kernel.trainable = False
    for beta in (1.0, 4.0):
        vae.beta = beta
        rates = keras.optimizers.schedules.CosineDecay(0.03, 800)
        vae.compile(keras.optimizers.Adam(rates), steps_per_execution=40)
        vae.fit(x, batch_size=200, epochs=40, verbose=0)
        expected = benchmarks.rate_distortion.optimum(variances, scale, beta)
        found = benchmarks.rate_distortion.measured(vae, x)
        error = 5 * 2 / np.sqrt(len(x))  # of one draw of z for each example
        assert found["rate"] == pytest.approx(expected["rate"], abs=0.05)
        assert found["distortion"] == pytest.approx(expected["distortion"], abs=0.05 + error)
        assert found["active"] == expected["active"]


def test_the_beta_of_a_rate_lies_between_its_neighbours(benchmarks):
    points = [(1.0, 20.0), (4.0, 10.0), (10.0, 2.0)]
    find = benchmarks.rate_distortion.beta_for
    assert find(10.0, points) == pytest.approx(4.0)
    assert find(15.0, points) == pytest.approx(2.0)  # halfway in the logarithm of beta
    assert find(30.0, points) is None
    assert find(1.0, points) is None


def test_the_estimate_of_the_marginal_likelihood_is_exact_where_that_is_known(benchmarks):
    w, scale = np.array([[1.2, -0.3, 0.5], [0.4, 0.8, -0.6]]), 0.7
    i, j = keras.Input((3,)), keras.Input((2,))
    heads = {name: keras.layers.Dense(2)(i) for name in ("z_mean", "z_log_var")}  # of no use
    decoder = keras.Model(j, {"loc": keras.layers.Dense(3, use_bias=False)(j)})
    decoder.set_weights([w])
    likelihood = vae_tf.likelihoods.Gaussian(scale)
    vae = vae_tf.VAE(keras.Model(i, heads), decoder, likelihood=likelihood)
    covariance = w.T @ w + scale**2 * np.eye(3)
    x = np.random.default_rng(0).multivariate_normal(np.zeros(3), covariance, 300)
    squares = np.sum(x @ np.linalg.inv(covariance) * x, 1)
    exact = -0.5 * (squares + np.linalg.slogdet(2 * np.pi * covariance)[1])
    found, effective = benchmarks.marginal.Marginal(vae).estimate(x.astype("float32"))
    assert effective > 0.5
    error = np.sqrt((1 / 0.5 - 1) / benchmarks.marginal.DRAWS / len(x))  # by the delta method
    assert found == pytest.approx(exact.mean(), abs=5 * error)


@pytest.mark.slow
def test_the_marginal_likelihood_rises_with_each_method(benchmarks, monkeypatch, tmp_path):
    module = benchmarks.marginal
    rng = np.random.default_rng(0)
    shapes = rng.random((4, 4, 4, 1)) < 0.5
    x = (shapes[rng.integers(0, 4, 400)] ^ (rng.random((400, 4, 4, 1)) < 0.05)).astype("float32")
    rows = []
    for method in module.OBJECTIVES:
        vae = module.model(method, (4, 4, 1), 0.1, seed=0, hidden=16)
        curve = module.trained(vae, x, {"train": x[:100], "test": x[100:200]}, [10, 600], seed=0)
        assert [point["samples"] for point in curve] == [1000, 60_000]
        assert curve[1]["test"] > curve[0]["test"] + 0.2
        rows.append({"examples": 1000, "method": method, "seed": 0, "curve": curve})
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "images").mkdir()
    page = tmp_path / "page.md"
    marks = module.common
    page.write_text(f"before {marks.BEGIN.format('aevb_marginal')}\n{marks.END} after")
    monkeypatch.setattr(module, "PATH", tmp_path / "rows.json")
    monkeypatch.setattr(module, "PAGE", page)
    module.page()
    assert "| 1,000 | Monte Carlo EM | 1 | 60,000 |" in page.read_text()
    assert page.read_text().endswith("after")
    assert (tmp_path / "images/aevb_marginal.png").exists()


@pytest.mark.slow
def test_the_bound_rises_with_each_method(benchmarks):
    module, images = benchmarks.bound, vae_tf.data.load("digits", binarization="none")
    for method in module.OBJECTIVES:
        vae = module.model("frey", images.shape, 2, method, 0.02, seed=0)
        curve = module.trained(vae, images, 20_000, 3, seed=0)
        assert curve[-1]["test_bound"] > curve[0]["test_bound"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bound", "marginal", "rate_distortion"])
def test_the_tables_are_the_measured_ones(benchmarks, monkeypatch, tmp_path, name):
    module = getattr(benchmarks, name)
    if not module.PATH.exists():
        pytest.skip("not measured yet")
    text = module.PAGE.read_text("utf-8")
    (tmp_path / "images").mkdir()
    (tmp_path / "results.md").write_text(text, "utf-8")
    monkeypatch.setattr(module, "PAGE", tmp_path / "results.md")
    module.page()
    assert (tmp_path / "results.md").read_text("utf-8") == text


def test_the_table_of_workers_is_the_measured_one():
    result = json.loads((BENCHMARKS / "results/scale.json").read_text())
    page = (BENCHMARKS.parent / "docs/scale.md").read_text("utf-8")
    assert result["rows"]
    for row in result["rows"]:
        start = f"| {row['network']} | {row['batch_size']:,} | {row['replicas']} | "
        (line,) = (x for x in page.splitlines() if x.startswith(start))
        assert line.endswith(f" {row['peak_bytes'] / 1e6:,.0f} | {row['loss']:.4f} |")
        if row["replicas"] <= result["machine"]["cores"]:
            assert f" {row['images_per_second']:,.0f} | {row['ratio']:.2f} |" in line
