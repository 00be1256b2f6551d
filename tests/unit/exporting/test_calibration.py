"""The threshold of `score`: which order statistic it is, and how often it is passed."""

import numpy as np
import pytest
import yaml

from vae_tf.exporting import calibration, model_card


@pytest.fixture
def scores(monkeypatch):
    """Makes the `nll` of an image the image itself."""

    def run(_, signature, batches):
        assert signature == "score"
        assert all(len(b["image"]) == len(b["seed"]) for b in batches)
        return [{"nll": b["image"].ravel()} for b in batches]

    monkeypatch.setattr(calibration.saved_model, "run", run)
    return lambda values, rate: calibration.anomaly_threshold(
        None, {"image": np.asarray(values, "float32")[:, None]}, rate
    )


def test_it_is_the_order_statistic_of_split_conformal_prediction(scores):
    # ceil(100 * 0.95) = 95th smallest of 99; of 19 at 5 %, the largest
    assert scores(np.arange(1, 100), 0.05)["threshold"] == 95
    assert scores(np.arange(1, 20), 0.05)["threshold"] == 19


def test_too_few_images_give_none(scores):
    assert scores(np.arange(18), 0.05) is None
    assert scores(np.arange(98), 0.01) is None
    remark = calibration.lacking({"image": np.arange(98)}, 0.01)
    assert "0.01 needs at least 99 examples for validation, and 98 were given" in remark
    assert "and 0 were given" in calibration.lacking(None, 0.01)


def test_false_alarms_are_as_rare_as_promised(scores):
    rng, rate, n, trials = np.random.default_rng(0), 0.1, 49, 4000
    draws = rng.standard_normal((trials, n + 1)).astype("float32")
    alarms = [row[-1] > scores(row[:-1], rate)["threshold"] for row in draws]
    # With k = 45 of 49 a new draw is above with probability (50 - 45) / 50 exactly
    assert abs(np.mean(alarms) - 0.1) <= 4.5 * np.sqrt(0.1 * 0.9 / trials)


def test_a_subset_is_drawn_from_all_over(scores, monkeypatch):
    monkeypatch.setattr(calibration, "MOST", 99)
    told = scores(np.arange(10_000), 0.05)
    assert told["examples"] == 99
    assert told["threshold"] > 8000  # the first 99 would give 95


def test_card_of_a_bundle_without_anything_extra(exported):
    text = (exported.bundle.directory / "README.md").read_text()
    assert text == model_card.model_card(exported.bundle.manifest)
    assert "version 1" in text
    assert "unusual" not in text.partition("## Limits")[0]
    for name, signature in exported.bundle.manifest["signatures"].items():
        assert f"| `{name}` | `{signature['saved_model']}` |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    pipes = {line: line.replace("\\|", "").count("|") for line in rows}
    assert min(pipes.values()) >= 3


@pytest.mark.parametrize(("stderr", "told"), [(None, "+0.250"), (0.125, "+0.250 ± 0.125")])
def test_card_of_a_model_that_was_tested_on_one_image(stderr, told):
    file = {"file": "encoder.tflite", "recommended": False, "bytes": 9, "latency_us": 1.0}
    file |= {"max_error": {"z_mean": 0.0}, "delta_nll": 0.25, "delta_nll_stderr": stderr}
    litert = {"files": [file], "signatures": {}, "refused": {}, "remarks": []}
    assert f" {told} |" in model_card._litert({"litert": litert})


def test_card_begins_with_metadata_that_hubs_read(exported):
    manifest = dict(exported.bundle.manifest)
    report = {"test": {"elbo": -90.5, "importance_weighted_nll": 85.25}}
    manifest["provenance"] = {"data": {"name": "table:it's.csv"}, "report": report}
    head, text = model_card.model_card(manifest).removeprefix("---\n").split("\n---\n")
    found = yaml.safe_load(head)
    assert found["library_name"] == "vae_tf"
    assert "saved-model" in found["tags"]
    (result,) = found["model-index"][0]["results"]
    assert result["dataset"]["name"] == "table:it's.csv"
    assert {m["type"]: m["value"] for m in result["metrics"]} == report["test"]
    assert text.lstrip().startswith("# A variational autoencoder")
    manifest["provenance"] = {}
    bare = yaml.safe_load(model_card.model_card(manifest).split("---")[1])
    assert set(bare) == {"library_name", "tags"}
