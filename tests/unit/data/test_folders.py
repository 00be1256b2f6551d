import os

import numpy as np
import pytest
from PIL import Image

from vae_tf import data
from vae_tf.errors import DataError

RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


def write(path, array, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array) if mode is None else Image.fromarray(array).convert(mode)
    image.save(path, **options)


def stored(loaded):
    """All images in the order of their files, uint8 [N, H, W, C]."""
    return loaded.train.stored


@pytest.fixture
def root(tmp_path):
    return tmp_path / "images"


def load(root, **options):
    return data.load(f"folder:{root}", **options)


def test_files_are_read_in_the_order_of_their_paths(root):
    images = noise(12, 5, 4, 3)
    names = [f"{'b' if i > 8 else 'a'}/{i:02}.png" for i in range(12)]
    for i in RNG.permutation(12):
        write(root / names[i], images[i])
    (root / "notes.txt").write_text("passed over")
    (root / ".hidden").mkdir()
    (root / ".hidden" / "x.png").write_text("passed over")
    (root / "a" / "._00.png").write_text("passed over")
    loaded = load(root)
    np.testing.assert_array_equal(stored(loaded), images)
    assert loaded.label_names == ("a", "b")
    rows = loaded.train.rows
    np.testing.assert_array_equal(loaded.train.labels, (rows > 8).astype(int))


def test_subfolders_named_as_splits_are_the_splits(root):
    images = noise(9, 4, 4)
    for i, split in enumerate(["train"] * 5 + ["val"] * 2 + ["test"] * 2):
        write(root / split / "ab"[i % 2] / f"{i}.png", images[i])
    loaded = load(root)
    sizes = [split.num_examples for split in (loaded.train, loaded.validation, loaded.test)]
    assert sizes == [5, 2, 2]
    assert loaded.label_names == ("a", "b")
    assert [split.labels.tolist() for split in (loaded.train, loaded.validation)] == [
        [0, 0, 0, 1, 1],  # a/0 a/2 a/4 b/1 b/3
        [0, 1],
    ]
    assert not loaded.carved


def test_images_beside_split_folders_are_refused(root):
    for folder in ("train", "test", "masks"):
        write(root / folder / "x.png", noise(4, 4))
    with pytest.raises(DataError, match=r"only in train, validation, test.*masks, test, train"):
        load(root)


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tiff", "pgm", "webp", "PNG"])
def test_lossless_formats_are_read_exactly(root, suffix):
    images = noise(4, 6, 5)
    for i, image in enumerate(images):
        options = {"lossless": True} if suffix == "webp" else {}
        write(root / f"{i}.{suffix}", image, **options)
    pixels = stored(load(root))
    expected = np.repeat(images[..., None], pixels.shape[-1], -1)  # WebP has no grey
    np.testing.assert_array_equal(pixels, expected)


def test_jpeg_is_read_nearly(root):
    image = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))
    for i in range(3):
        write(root / f"{i}.jpg", image, quality=95)
    assert np.abs(stored(load(root))[0, ..., 0].astype(int) - image).max() <= 3


def fill(root, n=3):
    for i in range(n):
        write(root / f"z{i}.png", noise(6, 5))


def test_16_bit_grey_is_scaled_to_8(root):
    deep = RNG.integers(0, 65536, (6, 5), np.uint16)
    deep[0, :2] = 0, 65535
    write(root / "0.png", deep)
    fill(root)
    assert stored(load(root)).shape[-1] == 1
    np.testing.assert_array_equal(stored(load(root))[0, ..., 0], np.rint(deep / 257))


def test_one_bit_is_black_and_white(root):
    bits = noise(6, 5) > 127
    write(root / "0.png", bits)
    fill(root)
    np.testing.assert_array_equal(stored(load(root))[0, ..., 0], bits * 255)


def test_palettes_become_colours_and_grey_follows(root):
    grey = noise(6, 5)
    colours = np.array([[255, 0, 0], [0, 9, 200], [3, 4, 5]], np.uint8)[RNG.integers(0, 3, (6, 5))]
    root.mkdir()
    Image.fromarray(colours).quantize(4).save(root / "0.png")
    write(root / "1.png", grey)
    write(root / "2.png", grey)
    pixels = stored(load(root))
    np.testing.assert_array_equal(pixels[0], colours)
    np.testing.assert_array_equal(pixels[1], np.repeat(grey[..., None], 3, -1))


def test_transparency_is_blended_with_black(root):
    rgba = noise(6, 5, 4)
    write(root / "0.png", rgba)
    la = noise(6, 5, 2)
    write(root / "1.png", la)
    write(root / "2.png", noise(6, 5))
    pixels = stored(load(root)).astype(float)
    np.testing.assert_allclose(pixels[0], rgba[..., :3] * (rgba[..., 3:] / 255), atol=0.51)
    blended = la[..., :1] * (la[..., 1:] / 255)
    np.testing.assert_allclose(pixels[1], np.repeat(blended, 3, -1), atol=0.51)


def test_grey_with_transparency_stays_grey(root):
    for i in range(3):
        write(root / f"{i}.png", noise(6, 5, 2))
    assert stored(load(root)).shape == (3, 6, 5, 1)


def test_cmyk_becomes_rgb(root):
    for i in range(3):
        write(root / f"{i}.jpg", np.full((6, 5, 3), (255, 0, 0), np.uint8), "CMYK", quality=100)
    assert np.abs(stored(load(root))[0].astype(int) - [255, 0, 0]).max() <= 8


@pytest.mark.parametrize(("suffix", "options"), [("webp", {"lossless": True}), ("tiff", {})])
def test_the_cameras_orientation_is_applied(root, suffix, options):
    upright = noise(6, 5, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    write(root / f"0.{suffix}", np.rot90(upright), exif=exif, **options)
    fill(root)
    np.testing.assert_array_equal(stored(load(root))[0], upright)


def test_the_first_frame_of_an_animation_counts(root):
    frames = [Image.fromarray(frame) for frame in noise(3, 6, 5)]
    root.mkdir()
    frames[0].save(root / "0.gif", save_all=True, append_images=frames[1:])
    fill(root)
    np.testing.assert_array_equal(stored(load(root))[0, ..., 0], np.asarray(frames[0]))


def test_the_size_that_is_advised_can_be_trained_on(root):
    write(root / "a.png", np.full((90, 50), 40, np.uint8))
    write(root / "b.png", np.full((80, 50), 40, np.uint8))
    with pytest.raises(DataError, match=r"Pass image_size=\(64, 50\)"):
        data.load(f"folder:{root}")


def test_mixed_sizes_are_named_or_resized(root):
    write(root / "a.png", np.full((6, 5), 40, np.uint8))
    write(root / "b.png", np.full((6, 5), 40, np.uint8))
    write(root / "sub" / "c.png", np.full((7, 5), 80, np.uint8))
    with pytest.raises(
        DataError, match=r"a\.png is 6x5, sub/c\.png is 7x5\. Pass image_size=\(6, 5\)"
    ):
        load(root)
    loaded = load(root, image_size=(3, 2))
    assert loaded.shape == (3, 2, 1)
    assert stored(loaded)[:, 0, 0, 0].tolist() == [40, 40, 80]
    assert loaded.describe()["resize"]["height"] == 3


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\nnothing"])
def test_a_corrupt_file_is_named(root, content):
    fill(root)
    (root / "bad.png").write_bytes(content)
    with pytest.raises(DataError, match=r"image file must be readable. Received: .*bad\.png"):
        load(root)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_a_truncated_file_is_named(root, suffix):
    for i in range(4):
        write(root / f"{i}.{suffix}", noise(64, 64))
    whole = (root / f"2.{suffix}").read_bytes()
    (root / f"2.{suffix}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=rf"2\.{suffix}"):
        load(root)


def test_pixels_of_32_bits_are_refused(root):
    write(root / "deep.tiff", RNG.random((6, 5)).astype(np.float32))
    fill(root)
    with pytest.raises(DataError, match=r"8 or 16 bits a channel.*deep\.tiff with mode F"):
        load(root)


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(DataError, match=r"`folder:PATH` must name a folder.*nowhere"):
        load(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match=r"must hold images \(\.png, .*none in it"):
        load(tmp_path)


def spoil(root):
    """Writes 10 images, of which 3 cannot be read, and returns their names."""
    for i in range(10):
        write(root / f"{i}.png", noise(16, 16))
    (root / "1.png").write_bytes(b"no image")
    whole = (root / "4.png").read_bytes()
    (root / "4.png").write_bytes(whole[: len(whole) // 2])  # the header is fine
    (root / "7.PNG").symlink_to(root / "nowhere")
    (root / "7.png").unlink()
    return ["1.png", "4.png", "7.PNG"]


def test_all_unreadable_files_are_named_at_once(root):
    names = spoil(root)
    with pytest.raises(DataError, match=r"3 of 10 in .* that are not") as refusal:
        load(root)
    for name in names:
        assert name in str(refusal.value)
    assert "skip_unreadable=True" in str(refusal.value)
    assert str(refusal.value).count(str(root)) == 1  # names, not whole paths


def test_unreadable_files_are_left_out_if_asked_for(root):
    names = spoil(root)
    images = load(root, skip_unreadable=True)
    assert images.skipped == tuple(names)
    assert images.describe()["skipped"] == names
    for name in names:
        (root / name).unlink()
    rest = load(root)
    assert rest.fingerprint == images.fingerprint
    assert "skipped" not in rest.describe()


def test_a_folder_of_unreadable_files_alone_is_refused(root):
    root.mkdir()
    for name in ("a.png", "b.png"):
        (root / name).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2 of 2 .*a\.png, b\.png"):
        load(root, skip_unreadable=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(root):
    fill(root)
    os.mkfifo(root / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png: no regular file"):
        load(root)
