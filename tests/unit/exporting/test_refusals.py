"""Exports that must fail, and leave nothing behind."""

import errno
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.bundles import write_bundle
from vae_tf.distributions import Bernoulli
from vae_tf.errors import ExportError
from vae_tf.exporting import building, publication
from vae_tf.formats.litert import files as litert
from vae_tf.formats.runtimes import cpp_loader


class Lambda(keras.layers.Layer):
    """Applies `function`; there is no way back from its configuration."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


def refuses(parts, directory, match, **options):
    """Asserts that an export fails with `match`, in one line, and that `directory` is gone."""
    with pytest.raises(ExportError, match=match) as caught:
        write_bundle(**parts, directory=directory, **options)
    assert "\n" not in str(caught.value)
    assert not directory.exists()


@pytest.fixture
def target(tmp_path):
    """A directory to be created by the export, along with its parent."""
    yield tmp_path / "new" / "bundle"
    assert list(tmp_path.iterdir()) == [], "parents that were created must go too"


@pytest.mark.parametrize("version", [0, -1, True, "1", 1.0])
def test_version_is_a_positive_integer(parts, target, version):
    refuses(parts, target, "version must be a positive integer", version=version)


def test_existing_version_is_refused_before_any_work(parts, tmp_path, monkeypatch):
    (tmp_path / "decoder" / "3").mkdir(parents=True)
    monkeypatch.setattr(building, "build", None)
    with pytest.raises(ExportError, match=r"decoder/3 is there already\. Export as version 4"):
        write_bundle(**parts, directory=tmp_path, version=3)
    assert [p.name for p in tmp_path.iterdir()] == ["decoder"]


def test_decoder_that_emits_nan(parts, target):
    kernel = parts["decoder"].weights[-1]
    kernel.assign(np.full(kernel.shape, np.nan))
    refuses(parts, target, "decode must return finite numbers")


@pytest.mark.slow
def test_random_decoder(make_parts, decoder_with, target):
    decoder = decoder_with(Lambda(lambda x: x + tf.random.normal(tf.shape(x))))
    refuses(make_parts(decoder=decoder), target, "decode in .* must agree with the reference")


def test_model_that_is_no_graph(make_parts, decoder_with, target):
    class Eager(Lambda):
        def compute_output_shape(self, shape):
            return shape

    decoder = decoder_with(Eager(lambda x: tf.constant(x.numpy()) if tf.executing_eagerly() else x))
    decoder.layers[-1].function = lambda x: tf.constant(x.numpy())
    refuses(
        make_parts(decoder=decoder), target, "decoder must be expressible as a TensorFlow graph"
    )


def test_wrong_latent_dim(make_parts, decoder_with, target):
    parts = make_parts()
    parts["prior"].latent_dim = 4
    refuses(parts, target, "decoder must accept z float32")


def test_statistics_without_the_batch(make_parts, target):
    class Scaled(Bernoulli):
        def statistics(self, params):
            return {**super().statistics(params), "scale": tf.constant(0.1)}

    parts = make_parts(likelihood=Scaled())
    refuses(parts, target, "must return 'scale' with the batch as first dimension")


def test_statistics_without_the_image(make_parts, target):
    class Nameless(Bernoulli):
        def statistics(self, params):
            return {"picture": super().statistics(params)["image"]}

    refuses(make_parts(likelihood=Nameless()), target, r"must return \['image'\]")


def test_encoder_of_unknown_size(make_parts, target):
    image = keras.Input((None, None, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    heads = {name: keras.layers.Dense(3)(pooled) for name in ("z_mean", "z_log_var")}
    parts = make_parts(encoder=keras.Model(image, heads))
    refuses(parts, target, "known height, width and channels")


def test_unbuilt_model(make_parts, target):
    unbuilt = keras.Sequential([keras.layers.Dense(30), keras.layers.Reshape((6, 5, 1))])
    refuses(make_parts(decoder=unbuilt), target, "decoder must be built")


@pytest.mark.slow
def test_saved_model_the_cpp_loader_cannot_run(parts, target, monkeypatch):
    # What tf.saved_model.save(keras_model) writes loads and runs in Python only.
    def python_only(endpoints, directory, *_):
        tf.saved_model.save(parts[endpoints[0].half], str(directory))

    monkeypatch.setattr(building.saved_model, "write", python_only)
    monkeypatch.setattr(building.saved_model, "opened", lambda *_: lambda *_: [])
    monkeypatch.setattr(building.parity, "compare", lambda *_: {})
    for step, result in (("convert", b""), ("operators", []), ("opened", None), ("run", [])):
        monkeypatch.setattr(litert, step, lambda *_, result=result: result)
    monkeypatch.setattr(building, "labelled", lambda model, **_: b"")
    refuses(parts, target, "must run in the C\\+\\+ loader")


def test_full_disk(parts, target, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    refuses(parts, target, "must have room for the bundle")


def test_full_disk_inside_tensorflow(parts, target, monkeypatch):
    def full(endpoints, directory, *_):
        raise tf.errors.ResourceExhaustedError(None, None, f"{directory}; No space left on device")

    monkeypatch.setattr(building.saved_model, "write", full)
    refuses(parts, target, "must have room for the bundle")


@pytest.mark.slow
def test_interruption_by_the_user(parts, target, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(building.parity, "report", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(**parts, directory=target)
    assert not target.exists()


def test_target_is_a_file(parts, tmp_path):
    path = tmp_path / "bundle"
    path.write_text("mine")
    with pytest.raises(ExportError, match="must be a directory that can be written"):
        write_bundle(**parts, directory=path)
    assert path.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_target_is_not_writable(parts, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ExportError, match="must be a directory that can be written"):
        write_bundle(**parts, directory=tmp_path)


def test_platform_without_the_c_api(parts, target, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(cpp_loader.tf, "__file__", str(tmp_path_factory.mktemp("tf") / "init.py"))
    refuses(parts, target, "must come with libtensorflow_cc")


def test_concurrent_export_is_refused_in_one_line(parts, tmp_path):
    with publication.locked(tmp_path):
        before = sorted(tmp_path.iterdir())
        with pytest.raises(ExportError, match="must not be in use by another export") as caught:
            write_bundle(**parts, directory=tmp_path)
        assert sorted(tmp_path.iterdir()) == before
    assert "\n" not in str(caught.value)
