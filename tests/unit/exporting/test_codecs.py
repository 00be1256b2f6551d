"""Image files in and out, against Pillow and the folder reader that training uses."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.bundles import halves as halves_of
from tests.cpp_server import Refused
from vae_tf import distributions, networks
from vae_tf.data.image_files import read_pixels
from vae_tf.data.pixels import resize
from vae_tf.errors import ExportError
from vae_tf.formats import parity
from vae_tf.signatures import codecs, endpoints
from vae_tf.signatures.endpoint import Endpoint, Input
from vae_tf.signatures.preprocessing import Preprocessing

LATENT = 3
UNIT = Preprocessing(value_range=(0.0, 1.0), scale=1 / 255)
SIGNED = Preprocessing(value_range=(-1.0, 1.0), scale=2 / 255)
RNG = np.random.default_rng(0)
RGBA = RNG.integers(0, 256, (9, 7, 4), dtype=np.uint8)
SMOOTH = np.add.outer(np.arange(9), np.arange(7))[..., None] * [14, 9, 3]


def picture(mode, levels=RGBA):
    image = Image.fromarray(np.asarray(levels, np.uint8)[..., :3] if mode != "RGBA" else levels)
    return image.convert(mode)


def file(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


FILES = {
    "grey.png": file(picture("L"), "PNG"),
    "colour.png": file(picture("RGB"), "PNG"),
    "alpha.png": file(picture("RGBA"), "PNG"),
    "grey_alpha.png": file(picture("RGBA").convert("LA"), "PNG"),
    "palette.png": file(picture("RGB").quantize(9), "PNG"),
    "transparent_palette.png": file(picture("RGB").quantize(9), "PNG", transparency=3),
    "one_bit.png": file(picture("1"), "PNG"),
    "first.gif": file(
        picture("RGB").quantize(9), "GIF", save_all=True, append_images=[picture("L")]
    ),
    "colour.bmp": file(picture("RGB"), "BMP"),
    "grey.jpg": file(picture("L", SMOOTH), "JPEG"),
    "colour.jpg": file(picture("RGB", SMOOTH), "JPEG"),
    "progressive.jpg": file(picture("RGB", SMOOTH), "JPEG", progressive=True),
    "cmyk.jpg": file(picture("RGB", SMOOTH).convert("CMYK"), "JPEG"),
}
# JPEG decoders round differently
LEVELS_APART = {name: 3 if name.endswith("jpg") else 0 for name in FILES}
BROKEN = {
    "empty": b"",
    "text": b"<html>404</html>",
    "cut": FILES["colour.png"][:90],
    "cut_jpeg": FILES["colour.jpg"][:-100],
    "flipped": bytes(b ^ (i == 60) * 255 for i, b in enumerate(FILES["colour.png"])),
    "tiff": file(picture("RGB"), "TIFF"),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(9, 7), (4, 5), (12, 16)])
def test_files_become_what_training_read(tmp_path, channels, size):
    data = list(FILES.values())
    have = codecs.decoded(tf.constant(data), (*size, channels)).numpy()
    for name, levels in zip(FILES, have, strict=True):
        (tmp_path / name).write_bytes(FILES[name])
        want = resize(read_pixels(tmp_path / name, channels == 3)[None], size)[0].astype(float)
        assert np.abs(levels - want).max() <= LEVELS_APART[name], name


def test_alpha_is_kept_by_models_that_have_it():
    have = codecs.decoded(tf.constant([FILES["alpha.png"], FILES["colour.png"]]), (9, 7, 4))
    np.testing.assert_array_equal(have[0], RGBA)
    np.testing.assert_array_equal(have[1, ..., 3], 255)


def test_sixteen_bits_lose_the_lower_eight():
    levels = RNG.integers(0, 65536, (9, 7)).astype(np.uint16)
    have = codecs.decoded(tf.constant([file(Image.fromarray(levels), "PNG")]), (9, 7, 1))
    np.testing.assert_array_equal(have[0, ..., 0], levels >> 8)


@pytest.fixture(scope="module", params=[1, 3])
def served(request, serve, tmp_path_factory):
    """A model of grey or RGB images, and functions that run its halves in the C++ loader."""
    shape = (9, 7, request.param)
    encoder = networks.mlp_encoder(shape, LATENT, hidden=(20,))
    likelihood = distributions.Gaussian(0.1)
    decoder = networks.mlp_decoder(LATENT, likelihood.parameter_shapes(shape), hidden=(20,))
    # So that some values are outside of the range
    decoder.layers[-1].set_weights([3 * w for w in decoder.layers[-1].get_weights()])
    scratch = tmp_path_factory.mktemp("scratch")
    model = halves_of(
        shape, LATENT, SIGNED, encoder=encoder, decoder=decoder, likelihood=likelihood
    )
    halves = [
        endpoints.encoder_endpoints(model),
        endpoints.decoder_endpoints(model, parity.trial(scratch)),
    ]
    assert [remarks for _, remarks in halves] == [{}, {}]
    runs = [serve(made) for made, _ in halves]
    return shape, encoder, decoder, {e.name: e for made, _ in halves for e in made}, runs


def test_encode_bytes_is_encode_of_the_pixels(served):
    shape, encoder, _, _, (run, _) = served
    data = np.array([*FILES.values()], object)
    told = run("encode_bytes", image_bytes=data)
    levels = codecs.decoded(tf.constant(data), shape).numpy()
    want = encoder((levels / 127.5 - 1).astype("float32"))
    for name in ("z_mean", "z_log_var"):
        np.testing.assert_allclose(told[name], want[name], atol=1e-4)
    for i in (0, 5):
        alone = run("encode_bytes", image_bytes=data[i : i + 1])["z_mean"]
        np.testing.assert_allclose(alone[0], told["z_mean"][i], atol=1e-5)


def test_what_is_no_image_spoils_its_row_alone(served):
    _, _, _, _, (run, _) = served
    good = FILES["grey.png"]
    data = np.array([good, *BROKEN.values(), good], object)
    for runtime in ("cpp", "python"):
        told = run("encode_bytes", image_bytes=data, runtime=runtime)
        want = run("encode_bytes", image_bytes=data[:1])
        for name, value in told.items():
            assert np.isnan(value[1:-1]).all(), name
            np.testing.assert_allclose(value[[0, -1]], np.repeat(want[name], 2, 0), atol=1e-5)
        nothing = run("encode_bytes", image_bytes=data[1:3], runtime=runtime)
        assert np.isnan(nothing["z_mean"]).all()
        empty = run("encode_bytes", image_bytes=data[:0], runtime=runtime)
        assert empty["z_mean"].shape == (0, LATENT)
    with pytest.raises(Refused, match="hape"):
        run("encode_bytes", image_bytes=data.reshape(2, -1))


def test_a_file_that_grows_beyond_measure_spoils_its_row_alone(served):
    """25 million pixels in 30 KB, whose levels as numbers would take 300 MB and more."""
    bomb = file(Image.new("L", (5000, 5000)), "PNG")
    assert len(bomb) < 2**15
    data = np.array([FILES["grey.png"], bomb, FILES["colour.png"]], object)
    _, _, _, _, (run, _) = served
    for runtime in ("cpp", "python"):
        told = run("encode_bytes", image_bytes=data, runtime=runtime)["z_mean"]
        assert list(np.isnan(told).all(1)) == [False, True, False]
    largest = file(Image.new("L", (4096, 4096), 255), "PNG")
    assert np.isfinite(run("encode_bytes", image_bytes=np.array([largest], object))["z_mean"]).all()


def test_pictures_are_those_of_generate(served):
    shape, _, _, _, (_, run) = served
    seeds, heat = np.arange(6, dtype=np.int32), np.full(6, 1.5, np.float32)
    heat[3] = np.nan
    image = run("generate", seed=seeds, temperature=heat)["image"]
    files = run("generate_png", seed=seeds, temperature=heat)["image_bytes"]
    assert files[3] == b""
    levels = np.clip((image + 1) / 2, 0, 1) * 255
    assert {0.0, 255.0} < set(np.delete(levels, 3, 0).ravel().tolist())  # clipped at both ends
    for i in (0, 1, 2, 4, 5):
        opened = Image.open(io.BytesIO(files[i]))
        assert opened.format == "PNG"
        assert (opened.mode, opened.size) == ({1: "L", 3: "RGB"}[shape[-1]], (7, 9))
        assert np.abs(np.asarray(opened).reshape(shape) - levels[i]).max() <= 0.501
    nothing = run("generate_png", seed=seeds[:0], temperature=heat[:0])
    assert nothing["image_bytes"].shape == (0,)


@pytest.mark.parametrize("name", ["encode_bytes", "generate_png"])
def test_runtimes_agree_with_keras(served, name):
    _, _, _, made, (encode, decode) = served
    run = encode if name == "encode_bytes" else decode
    batches = parity.probes(made[name])
    want = parity.reference(made[name], batches)
    for runtime in ("cpp", "python"):
        parity.compare(runtime, name, want, run(name, *batches, runtime=runtime))


def test_files_are_compared_by_their_pixels():
    levels = RGBA[..., :1].astype(int)
    png = tf.io.encode_png(np.uint8(levels)).numpy()
    want = [{"image_bytes": np.array([png, b""], object)}]

    def against(file, second=b""):
        have = [{"image_bytes": np.array([file, second], object)}]
        return parity.compare("a server", "generate_png", want, have)

    near = tf.io.encode_png(np.uint8(np.clip(levels + 1, 0, 255)), compression=0).numpy()
    assert against(near)["image_bytes"]["max_abs_error"] == 1
    far = tf.io.encode_png(np.uint8(np.clip(levels + 2, 0, 255))).numpy()
    for file, second in ((far, b""), (b"", b""), (png, png), (FILES["colour.png"], b"")):
        with pytest.raises(ExportError, match="image_bytes"):
            against(file, second)


def test_why_there_are_none():
    assert codecs.lacking(halves_of((9, 7, 1), LATENT, UNIT)) is None
    assert "no pictures" in codecs.lacking(halves_of((9, 7, 2), LATENT, UNIT))
    assert "no pictures" in codecs.lacking(halves_of((30,), LATENT, UNIT))
    assert "value_range" in codecs.lacking(halves_of((9, 7, 1), LATENT, Preprocessing()))


def test_strings_of_any_bytes_pass_through_the_loader(serve):
    def same(text, flag, level):
        return {"text": text, "flag": flag, "level": level, "bytes": tf.strings.length(text)}

    inputs = Input("text", "string"), Input("flag", "bool"), Input("level", "uint8")
    run = serve([Endpoint("same", "none", inputs, frozenset(), same)])
    text = np.array([b"", b"\0\0", bytes(range(256)) * 50, b"a\0"], object)
    flag, level = np.array([True, False, True, True]), np.array([0, 255, 7, 128], np.uint8)
    for size in (4, 1, 0):
        inputs = {"text": text[:size], "flag": flag[:size], "level": level[:size]}
        have = run("same", **inputs)
        assert have["text"].tolist() == text[:size].tolist()
        np.testing.assert_array_equal(have["bytes"], [len(t) for t in text[:size]])
        for name in ("flag", "level"):
            assert have[name].dtype == inputs[name].dtype
            np.testing.assert_array_equal(have[name], inputs[name])
