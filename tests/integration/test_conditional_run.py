"""`train.py --condition label`: a run from data with labels to numbers, pictures and files."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest

import vae_tf
from vae_tf.errors import ConfigError, DataError, RunError
from vae_tf.recipes import RECIPES
from vae_tf.runs import bundle, training
from vae_tf.runs.build import kind_of
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.directory import RunDirectory

SMALL = dataclasses.replace(
    RECIPES["demo"],
    condition="label",
    hidden=(16,),
    latent_dim=2,
    epochs=3,
    importance_samples=5,
)


class Interrupting(training.Watcher):
    """Stops like a crash, when the last epoch begins."""

    def callbacks(self, config, num_examples, unit):
        def stop(epoch, logs=None):
            if epoch == config.epochs - 1:
                raise KeyboardInterrupt

        return [keras.callbacks.LambdaCallback(on_epoch_begin=stop)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("home") / "run"
    return path, training.train(dataclasses.replace(SMALL, run_dir=str(path)))


def test_the_report_is_of_the_likelihood_given_the_label(run):
    path, report = run
    vae, saved = training.load_run(path)
    assert saved["data"]["num_classes"] == vae.parts.num_classes["condition"] == 10
    test = kind_of(SMALL).data.test
    labels = test.labels
    again = vae_tf.log_likelihood(vae, (test.array(), labels), 5)
    assert report["test"]["importance_weighted_nll"] == pytest.approx(again.nll, rel=1e-4)
    other = vae_tf.log_likelihood(vae, (test.array(), (labels + 1) % 10), 5)
    assert other.nll > again.nll
    pictures = {file.stem for file in (path / "pictures").iterdir()}
    own = {"reconstructions", "samples", "label_swap", "interpolations", "learning_curves"}
    assert pictures == own
    assert json.loads((path / "report.json").read_text())["config"]["condition"] == "label"


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_numbers(run, tmp_path):
    whole, report = run
    config = dataclasses.replace(SMALL, run_dir=str(tmp_path / "run"), resume=True)
    with pytest.raises(KeyboardInterrupt):
        training.train(config, Interrupting())
    resumed = training.train(config)
    models = [training.load_run(path)[0] for path in (whole, config.run_dir)]
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert resumed["test"]["elbo"] == pytest.approx(report["test"]["elbo"], rel=1e-4)
    for changed in ({"condition": "none"}, {"prior": "normal"}):
        with pytest.raises(RunError, match="must be the one begun"):
            training.train(dataclasses.replace(config, **changed))


def arrays(path: Path, **more) -> str:
    x = np.random.default_rng(0).integers(0, 256, (40, 6, 6), "uint8")
    np.savez(path, x=x, **more)
    return f"array:{path}"


def test_other_labels_are_other_data(tmp_path):
    file, labels = tmp_path / "data.npz", np.arange(40) % 3
    name = arrays(file, y=labels)
    config = dataclasses.replace(SMALL, dataset=name, run_dir=str(tmp_path / "run"), resume=True)
    with pytest.raises(KeyboardInterrupt):
        training.train(config, Interrupting())
    arrays(file, y=labels[::-1])
    with pytest.raises(RunError, match="labels-fingerprint"):
        training.train(config)


def test_data_without_labels_are_refused_before_anything_is_written(tmp_path):
    name = arrays(tmp_path / "data.npz")
    config = dataclasses.replace(SMALL, dataset=name, run_dir=str(tmp_path / "run"))
    with pytest.raises(DataError, match="a label for every image"):
        training.train(config)
    assert not (tmp_path / "run").exists()


def test_a_conditional_prior_needs_a_condition():
    assert TrainConfig().prior_name == "mixture"
    assert TrainConfig(condition="label").prior_name == "conditional"
    assert TrainConfig(condition="label", prior="normal").prior_name == "normal"
    with pytest.raises(ConfigError, match="--prior conditional needs a condition"):
        TrainConfig(prior="conditional")


def test_a_run_from_before_there_were_conditions_goes_on(tmp_path):
    run, data = RunDirectory(tmp_path / "run"), {"fingerprint": "x"}
    config = TrainConfig(resume=True)
    run.open(config, data)
    saved = json.loads(run.config.read_text())
    del saved["config"]["condition"]
    run.config.write_text(json.dumps(saved))
    run.open(config, data)
    with pytest.raises(RunError, match="--condition 'label' instead of 'none'"):
        run.open(dataclasses.replace(config, condition="label"), data)


def test_an_export_of_a_run_is_judged_by_images_with_their_labels(run):
    path, _ = run
    saved = training.load_run(path)[1]
    images = kind_of(SMALL).data
    for name, (x, labels) in bundle._splits(saved, None).items():
        whole = getattr(images, name)
        places = {
            row.tobytes(): label for row, label in zip(whole.array(), whole.labels, strict=True)
        }
        assert len(x) == min(whole.num_examples, bundle.MOST_IMAGES)
        assert len(labels) == len(x)
        if whole.num_examples == len(x):  # fixed draws are those of the whole
            assert all(places[row.tobytes()] == label for row, label in zip(x, labels, strict=True))
    other = {**saved, "data": {**saved["data"], "labels_fingerprint": "sha256:of others"}}
    assert bundle._splits(other, None) == {}
