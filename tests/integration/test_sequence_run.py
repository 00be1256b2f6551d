"""Texts and series through train.py: numbers, files, and refusals in one line."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import vae_tf
from vae_tf.cli import export, train
from vae_tf.data import Series, Texts
from vae_tf.errors import ConfigError
from vae_tf.runs.config import TrainConfig

SMALL = ["--epochs", "2", "--importance-samples", "10", "--latent-dim", "2", "--hidden", "8"]
SMALL += ["--beta-warmup-epochs", "1"]


def report_of(run):
    return json.loads((run / "report.json").read_text())


@pytest.fixture(scope="module")
def texts_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(["to", "be", "or", "not"], 3)) for _ in range(80)]
    (folder / "lines.txt").write_text("\n".join(lines))
    flags = ["--dataset", f"text:{folder / 'lines.txt'}", "--run-dir", str(folder / "run")]
    assert train.main([*flags, *SMALL]) == 0
    return folder, flags


@pytest.mark.slow
def test_a_run_of_texts_tells_perplexity_and_shows_texts(texts_run):
    run = texts_run[0] / "run"
    report, test = report_of(run), report_of(run)["test"]
    assert report["unit"] == "line"
    assert report["config"]["likelihood"] == "categorical"
    texts = Texts.load(run / "vocabulary.json")
    vae = keras.models.load_model(run / "model.keras")
    lines = (texts_run[0] / "lines.txt").read_text().splitlines()
    from vae_tf.data.sequences.text_data import load_text

    data = load_text(str(texts_run[0] / "lines.txt"))
    batch = {"x": data.test.array(), "mask": data.test.mask()}
    assert set(texts.decode(batch["x"])) <= set(lines)
    found = vae_tf.log_likelihood(vae, batch, 10)
    assert test["importance_weighted_nll"] == pytest.approx(found.nll, rel=1e-5)
    expected = np.exp(found.nll * len(batch["x"]) / batch["mask"].sum())
    assert test["perplexity"] == pytest.approx(expected, rel=1e-5)
    samples = (run / "samples.txt").read_text("utf-8")
    assert samples.count("# ") == 5
    assert "probable continuations of" in samples


@pytest.mark.slow
def test_a_run_of_texts_goes_on_as_if_uninterrupted(texts_run, tmp_path):
    _, flags = texts_run
    whole = [*flags[:2], "--run-dir", str(tmp_path / "whole"), *SMALL, "--epochs", "3"]
    assert train.main([*whole, "--lr-schedule", "constant"]) == 0
    part = [*whole[:2], "--run-dir", str(tmp_path / "part"), *SMALL, "--lr-schedule", "constant"]
    assert train.main(part) == 0
    assert train.main([*part[:4], "--resume", "--epochs", "3"]) == 0
    reports = [report_of(tmp_path / name) for name in ("whole", "part")]
    assert reports[0]["test"] == reports[1]["test"]


@pytest.mark.slow
def test_a_run_of_series_is_told_in_the_users_units(tmp_path):
    rng = np.random.default_rng(0)
    x = 100 + 5 * np.sin(np.arange(12) / 2 + rng.uniform(0, 6, (60, 1)))[..., None]
    x = x + rng.normal(size=(60, 12, 2))
    x[rng.random(x.shape) < 0.1] = np.nan
    np.savez(tmp_path / "x.npz", x=x, lengths=rng.integers(6, 13, 60))
    run = tmp_path / "run"
    flags = ["--dataset", f"series:{tmp_path / 'x.npz'}", "--run-dir", str(run)]
    assert train.main([*flags, *SMALL]) == 0
    report = report_of(run)
    assert report["pictures"] == ["reconstructions.png", "learning_curves.png"]
    from vae_tf.data.sequences.series_data import load_series

    series, test = Series.load(run / "series.json"), load_series(str(tmp_path / "x.npz")).test
    vae = keras.models.load_model(run / "model.keras")
    found = vae_tf.log_likelihood(vae, {"x": test.array(), "mask": test.mask()}, 10)
    nll = -np.mean(found.per_example + series.log_jacobian(test.mask()))
    assert report["test"]["importance_weighted_nll"] == pytest.approx(nll, rel=1e-5)
    assert report["unit"] == "sequence"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": "conv"}, "A text does without this flag. Received: --network conv"),
        ({"likelihood": "gaussian"}, "A text does without this flag"),
        ({"dataset": "series:a.npy", "network": "causal"}, "A series does without this flag"),
        ({"dataset": "series:a.npy", "tokens": "words"}, "--tokens belongs to texts"),
        ({"dataset": "mnist", "word_dropout": 0.1}, "--word-dropout belongs to texts"),
        ({"dataset": "mnist", "network": "gru"}, "--network gru is for sequences"),
        ({"max_length": 1}, "--max-length must be at least 2"),
    ],
)
def test_flags_that_do_not_meet(settings, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**{"dataset": "text:a.txt", **settings})


def test_a_file_that_is_no_text_is_one_line(tmp_path, capsys):
    (tmp_path / "a.txt").write_bytes(b"\xff" * 30)
    assert train.main(["--dataset", f"text:{tmp_path / 'a.txt'}", "--run-dir", "x"]) == 1
    *_, error = capsys.readouterr().err.splitlines()
    assert error.startswith("error: A file of texts must be UTF-8")


@pytest.mark.slow
def test_a_run_of_texts_is_exported_and_verified(texts_run, tmp_path, capsys):
    bundle = tmp_path / "bundle"
    assert export.main([str(texts_run[0] / "run"), "--output", str(bundle)]) == 0
    assert export.main(["--verify", str(bundle)]) == 0
    told = capsys.readouterr().out
    assert "encode, generate_text, decode_text, step run as they did" in told.replace("and ", "")
    served = tf.saved_model.load(str(bundle / "decoder" / "1")).signatures["generate_text"]
    found = served(seed=tf.range(3), temperature=tf.zeros([3]))  # the most probable tokens
    vae = keras.models.load_model(texts_run[0] / "run/model.keras")
    expected = Texts.load(texts_run[0] / "run/vocabulary.json").decode(
        vae.draw(found["z"].numpy(), temperature=0.0)
    )
    assert [text.decode("utf-8", errors="replace") for text in found["text"].numpy()] == expected
