"""`train.py --labels`: a model and a classifier of few labels, from data to numbers and files."""

import dataclasses
import json

import keras
import numpy as np
import pytest

import vae_tf
from vae_tf.errors import ConfigError, DataError, RunError
from vae_tf.recipes import RECIPES
from vae_tf.runs import bundle, training
from vae_tf.runs.build import kind_of
from vae_tf.runs.config import TrainConfig

SMALL = dataclasses.replace(
    RECIPES["m2"],
    dataset="digits",
    labels=40,
    hidden=(32,),
    latent_dim=2,
    batch_size=100,
    epochs=3,
    importance_samples=2,
)
CODES = dataclasses.replace(SMALL, codes=4)


class Interrupting(training.Watcher):
    """Stops like a crash, when the last epoch of a model with a classifier begins."""

    def callbacks(self, config, num_examples, unit):
        def stop(epoch, logs=None):
            if config.labels and epoch == config.epochs - 1:
                raise KeyboardInterrupt

        return [keras.callbacks.LambdaCallback(on_epoch_begin=stop)]


CASES = [SMALL, pytest.param(CODES, marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=CASES, ids=["m2", "m1m2"])
def run(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("home") / "run"
    config = dataclasses.replace(request.param, run_dir=str(path))
    return path, config, training.train(config)


def test_the_report_is_of_all_images_and_of_the_classes(run):
    path, config, report = run
    vae, saved = training.load_run(path)
    data = kind_of(config).data
    assert np.sum(data.train.labels >= 0) == 40
    assert np.all(np.bincount(data.train.labels[data.train.labels >= 0]) == 4)
    assert saved["data"]["few_labels"] == {"count": 40, "seed": 0}
    found = np.argmax(vae.classify(data.test.undrawn()), 1)
    assert report["test"]["class_error"] == pytest.approx(np.mean(found != data.test.labels))
    assert 0 < report["validation"]["class_error"] < 1
    test = data.test.array()
    again = vae_tf.log_likelihood(vae, test, 2)
    assert report["test"]["importance_weighted_nll"] == pytest.approx(again.nll, rel=1e-3)
    assert (path / "pictures/samples.png").exists()
    assert report["unit"] == ("code" if config.codes else "image")
    assert json.loads((path / "report.json").read_text())["config"]["labels"] == 40


def test_input_dropout_reaches_the_classifier(run):
    path, config, _ = run
    classifier = training.load_run(path)[0].objective.classifier
    x = np.random.default_rng(0).random((200, *classifier.input_shape[1:]), np.float32)
    drops = [layer.rate for layer in classifier.layers if isinstance(layer, keras.layers.Dropout)]
    assert drops == [config.input_dropout]
    still, moved = (classifier(x, training=t)["logits"] for t in (False, True))
    assert np.mean(np.abs(still - moved) > 1e-3) > 0.9


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_numbers(run, tmp_path):
    whole, config, report = run
    config = dataclasses.replace(config, run_dir=str(tmp_path / "run"), resume=True)
    with pytest.raises(KeyboardInterrupt):
        training.train(config, Interrupting())
    resumed = training.train(config)
    models = [training.load_run(path)[0] for path in (whole, config.run_dir)]
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    assert resumed["test"]["elbo"] == pytest.approx(report["test"]["elbo"], rel=1e-3)
    with pytest.raises(RunError, match="must be the one begun"):
        training.train(dataclasses.replace(config, label_seed=1))


@pytest.mark.slow
def test_it_is_exported(run, tmp_path):
    path, _, _ = run
    exported = bundle.export_run(path, tmp_path / "bundle")
    assert {"classify", "encode", "generate"} <= set(exported.manifest["signatures"])
    saved = training.load_run(path)[1]
    x, labels = bundle._splits(saved, None, str(path))["train"]
    assert len(x) == len(labels) == 40
    assert np.all(labels >= 0)


def test_other_seeds_choose_other_images():
    labels = [
        kind_of(dataclasses.replace(SMALL, label_seed=seed)).data.train.labels for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(labels[0], labels[1])
    assert not np.array_equal(labels[0], labels[2])


def test_what_cannot_be_is_said_in_one_sentence():
    with pytest.raises(ConfigError, match="--codes are for a model with a classifier"):
        TrainConfig(codes=5)
    with pytest.raises(ConfigError, match="brings a condition and an objective"):
        TrainConfig(labels=10, condition="label")
    with pytest.raises(ConfigError, match="--labelled-share"):
        TrainConfig(labels=10, labelled_share=1.0)
    for count in (5, 10**6):
        with pytest.raises(DataError, match="labels to keep must be from 10"):
            kind_of(dataclasses.replace(SMALL, labels=count))
