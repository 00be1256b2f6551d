"""The recipes `flagship` and `colours` in small: the way from training to a phone's file."""

import dataclasses

import keras
import numpy as np
import pytest

import vae_tf
from vae_tf.exporting import Options
from vae_tf.formats.litert import files as litert
from vae_tf.recipes import RECIPES
from vae_tf.runs import training
from vae_tf.runs.build import kind_of
from vae_tf.runs.bundle import export

pytestmark = pytest.mark.slow

TINY = dataclasses.replace(
    RECIPES["flagship"],
    dataset="digits",
    latents=(3, 1, 1),
    filters=(4, 4, 4, 4),
    prior_components=5,
    likelihood="bernoulli",
    binarization="static",
    beta_warmup_epochs=1,
    epochs=2,
    importance_samples=5,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directory and the report of a run that was interrupted and resumed."""
    path = str(tmp_path_factory.mktemp("flagship") / "run")
    first = training.train(dataclasses.replace(TINY, run_dir=path, epochs=1))
    report = training.train(dataclasses.replace(TINY, run_dir=path, resume=True))
    return path, first, report


def test_it_trains_resumes_and_counts_the_seconds_of_both_parts(run):
    path, first, report = run
    assert report["epochs"] == 2
    for name in ("train_seconds", "train_processor_seconds"):
        assert 0 < first[name] < report[name]
    vae, _ = training.load_run(path)
    assert vae.prior.group_sizes == (3, 16, 16)
    test = kind_of(TINY).data.test.array()
    again = vae_tf.log_likelihood(vae, test, 5)
    assert report["test"]["importance_weighted_nll"] == pytest.approx(again.nll, rel=1e-4)
    bound = vae.evaluate(test, return_dict=True, verbose=0)
    assert report["test"]["elbo"] == pytest.approx(bound["elbo"], rel=1e-4)


def test_generate_runs_on_a_phone_by_builtin_operators(run, tmp_path):
    vae = keras.models.load_model(f"{run[0]}/model.keras")
    bundle = export(vae, tmp_path / "bundle", options=Options())
    content = bundle.decoder_tflite.read_bytes()
    assert "generate" in litert.signatures(content)
    assert set(litert.operators(content)) <= set(litert.BUILTIN_NAMES.values()) - {"CUSTOM"}
    asked = {"seed": np.array([0, 1], "int32"), "temperature": np.ones(2, "float32")}
    (drawn,) = litert.run(content, "generate", [asked])
    assert drawn["image"].shape == (2, 8, 8, 1)
    assert drawn["image"].min() >= 0
    assert drawn["image"].max() <= 1
    assert drawn["image"].std() > 0.01


def test_colours_are_told_in_bits_per_dimension(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3)).astype("uint8")
    np.save(tmp_path / "colours.npy", images)
    small = dataclasses.replace(
        RECIPES["colours"],
        dataset=f"array:{tmp_path / 'colours.npy'}",
        latents=(3, 1),
        filters=(4, 4),
        beta_warmup_epochs=1,
        epochs=2,
        batch_size=20,
        importance_samples=5,
        run_dir=str(tmp_path / "run"),
    )
    report = training.train(small)
    vae, _ = training.load_run(tmp_path / "run")
    found = vae_tf.bits_per_dimension(vae, kind_of(small).data.test.array(), 5)
    assert report["test"]["bits_per_dimension"] == pytest.approx(found.value, rel=1e-4)
    assert report["test"]["bits_per_dimension_stderr"] == pytest.approx(found.stderr, rel=1e-3)
    assert 7 < found.value < 12  # bytes at random need 8 bits, and no model can do with fewer
