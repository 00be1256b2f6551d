"""What LiteRT lacks, or gets wrong: a remark, and the SavedModels all the same."""

import shutil

import keras
import pytest

from tests.bundles import bundle_of
from tests.unit.exporting.conftest import LATENT, SHAPE, small_parts
from vae_tf.cli.tables import show_bundle
from vae_tf.errors import ExportError
from vae_tf.exporting import Options, verify_bundle
from vae_tf.exporting.web import model as web_model
from vae_tf.formats.litert import agreeing
from vae_tf.formats.litert import files as litert
from vae_tf.formats.parity import reference
from vae_tf.formats.runtimes import saved_model
from vae_tf.signatures.endpoint import Endpoint, Input
from vae_tf.signatures.probes import probes

L = keras.layers


def recurrent_encoder(**options):
    image = keras.Input(SHAPE)
    h = L.LSTM(4, **options)(L.Reshape(SHAPE[:2])(image))
    return keras.Model(image, {name: L.Dense(LATENT)(h) for name in ("z_mean", "z_log_var")})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Of an encoder that LiteRT cannot have, and a decoder that it can."""
    parts = small_parts(encoder=recurrent_encoder())
    options = Options(precisions=("dynamic", "float32"), batches=(None, 1))
    return bundle_of(tmp_path_factory, "recurrent", **parts, options=options)


@pytest.mark.slow
def test_a_recurrent_encoder_is_in_the_savedmodel_alone(bundle):
    facts = bundle.manifest
    assert bundle.encoder.is_dir()
    assert bundle.encoder_tflite is None
    assert not (bundle.directory / "encoder.tflite").exists()
    assert facts["signatures"]["encode"]["litert"] is None
    assert set(bundle.parity["signatures"]["encode"]) == {"python_saved_model", "cpp_loader"}
    assert bundle.decoder_tflite == bundle.directory / "decoder.tflite"
    assert litert.signatures(bundle.decoder_tflite.read_bytes()) == [
        "decode",
        "generate",
        "prior_log_prob",
    ]
    assert set(facts["litert"]["recommended"]) == {"decoder"}
    assert {name.split("-")[0] for name in facts["litert"]["refused"]} == {"encoder"}


@pytest.mark.slow
def test_the_reason_and_the_remedy_stand_wherever_a_reader_looks(bundle, capsys):
    show_bundle(bundle)
    printed = capsys.readouterr().out
    card = (bundle.directory / "README.md").read_text()
    remark = bundle.manifest["remarks"]["encoder.tflite"]
    assert "TensorListReserve. Pass unroll=True to recurrent layers." in remark
    assert "\n" not in remark
    assert f"encoder.tflite: {remark}" in printed
    assert "encoder.tflite  " not in printed, "a path to a file that is not there"
    assert f"`encoder.tflite`: {remark}" in card


@pytest.mark.slow
def test_verification_accepts_it_and_still_misses_a_file(bundle, tmp_path):
    copy = shutil.copytree(bundle.directory, tmp_path / "copy")
    assert verify_bundle(copy).manifest == bundle.manifest
    (copy / "decoder.tflite").unlink()
    with pytest.raises(ExportError, match=r"decoder\.tflite must have sha256"):
        verify_bundle(copy)


def test_the_page_tells_which_file_it_lacks(bundle, tmp_path):
    with pytest.raises(ExportError, match=r"needs encoder-float32-batch1\.tflite.*unroll=True"):
        web_model.write(bundle.directory, bundle.manifest, tmp_path / "page")


def test_a_file_that_computes_something_else(tmp_path, monkeypatch):
    """Kernels of zeros, as a stand-in for whatever a converter may get wrong."""
    dense = L.Dense(50)
    dense.build((None, LATENT))
    z = Input("z", "float32", (LATENT,))
    function = lambda z: {"image": dense(z)}  # noqa: E731
    decode = Endpoint("decode", "decoder", (z,), frozenset(), function)
    more = Endpoint("generate", "decoder", (z,), frozenset(), lambda z: {"z": 2 * z})
    last = Endpoint("prior_log_prob", "decoder", (z,), frozenset(), lambda z: {"z": -z})
    saved_model.write([decode, more, last], tmp_path / "1")
    expected = {e.name: reference(e, probes(e)) for e in (decode, more, last)}
    file, convert = tmp_path / "decoder.tflite", litert.convert

    def corrupted(path, signatures):
        content, kernel = convert(path, signatures), dense.kernel.numpy().T.tobytes()
        assert kernel in content
        return content.replace(kernel, bytes(len(kernel)))

    def written():
        return agreeing.write(file, tmp_path / "1", [decode, more, last], expected, litert.packed)

    monkeypatch.setattr(litert, "convert", corrupted)
    errors, remarks = written()
    assert errors == {}
    assert not file.exists()
    assert set(remarks) == {file.name}
    assert "decode in litert must agree with the reference" in remarks[file.name]

    # The one that is wrong goes alone
    monkeypatch.setattr(litert, "convert", convert)
    expected["generate"] = [{"z": value["z"] + 1} for value in expected["generate"]]
    errors, remarks = written()
    assert set(errors) == {"decode", "prior_log_prob"}
    assert set(litert.signatures(file.read_bytes())) == set(errors)
    assert set(remarks) == {"generate"}
