"""Files that are missing, damaged or of several kinds: one sentence each, with the file's name."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image

import vae_tf
from vae_tf.data.streams import parquet
from vae_tf.data.streams.scrambling import shuffled
from vae_tf.errors import ConfigError, DataError

SIZE = (4, 4)


def records(path, rows, feature="image", kind="int64_list"):
    with tf.io.TFRecordWriter(str(path)) as file:
        for row in rows:
            made = tf.train.Example()
            getattr(made.features.feature[feature], kind).value.extend(row)
            file.write(made.SerializeToString())


def table(path, rows, **arguments):
    pq.write_table(pa.table({"image": list(rows)}), path, **arguments)


def load(path, image_size=SIZE, **arguments):
    scheme = path.suffix[1:] or "folder"
    return vae_tf.data.load(f"{scheme}:{path}", image_size=image_size, **arguments)


@pytest.fixture
def rows():
    return np.random.default_rng(0).integers(0, 256, (600, 16))


def refused(words, path, **arguments):
    """Checks that data are refused in one line, when they are opened or when they are read."""
    with pytest.raises(DataError, match=words) as caught:
        load(path, **arguments).train.array()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_no_file_matches(tmp_path):
    refused("`tfrecord:PATTERN` must match files", tmp_path / "a.tfrecord")
    refused("`parquet:PATTERN` must match files", tmp_path / "*.parquet")
    with pytest.raises(DataError, match="must name a folder"):
        vae_tf.data.load(f"folder:{tmp_path / 'none'}", stream=True)
    with pytest.raises(DataError, match="must hold images"):
        vae_tf.data.load(f"folder:{tmp_path}", stream=True)


def test_compressed_shards(tmp_path):
    (tmp_path / "a.tfrecord.gz").write_bytes(b"")
    with pytest.raises(DataError, match="must not be compressed"):
        vae_tf.data.load(f"tfrecord:{tmp_path / '*'}")


@pytest.mark.parametrize("ending", ["tfrecord", "parquet"])
def test_another_file(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"dear diary, today I learned what a checksum is")
    refused(f"must be readable. Received: .*a.{ending}", path)
    path.write_bytes(b"")
    refused(f"a.{ending}", path)


def test_no_image_in_it(tmp_path, rows):
    path = tmp_path / "a.tfrecord"
    records(path, rows[:9], "picture")
    refused("must have a feature `image`. Received: .*a.tfrecord with picture", path)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"picture": [[1, 2]]}), path)
    refused("must have a column `image`. Received: .*a.parquet with picture", path)


def test_a_shard_cut_short(tmp_path, rows):
    path = tmp_path / "a.tfrecord"
    records(path, rows)
    path.write_bytes(path.read_bytes()[:-5])
    refused("a.tfrecord: record 599 is cut short or damaged", path)


def test_a_row_group_with_fewer_rows_than_its_footer_says(tmp_path, rows):
    path = tmp_path / "a.parquet"
    table(path, rows[:5].tolist())
    files = parquet.ParquetFiles(str(path))
    (block,) = files.blocks(str(path))
    told = dataclasses.replace(block, rows=6)
    with pytest.raises(DataError, match=f"{path}: 5 rows in a group of 6"):
        files.images(told, np.arange(6))


def test_a_flipped_bit_in_a_record(tmp_path, rows):
    path = tmp_path / "a.tfrecord"
    records(path, rows[:300])
    place = path.stat().st_size + 16  # past the length of the next record, and into it
    records(tmp_path / "b", rows[300:])
    content = bytearray(path.read_bytes() + (tmp_path / "b").read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    refused(f"{path}: a damaged record among 256 to 511", path)


def test_fit_names_the_file_of_which_it_learns_late(tmp_path):
    path, rows = tmp_path / "a.parquet", np.full((5000, 16), 200)
    unseen = shuffled(np.arange(5000), 0)[-1]  # by the sample that is looked at first
    rows[unseen, 3] = 256
    table(path, rows, row_group_size=5000)
    data = load(path)
    likelihood = vae_tf.likelihoods.Bernoulli()
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder(data.shape, 2, hidden=(4,)),
        vae_tf.networks.mlp_decoder(2, likelihood.parameter_shapes(data.shape), hidden=(4,)),
        likelihood=likelihood,
    )
    vae.compile("adam")
    data = dataclasses.replace(data.train, rows=np.arange(5000))
    with pytest.raises(DataError) as caught:
        vae.fit(data.training_batches(50, 0), steps_per_epoch=100, shuffle=False, verbose=0)
    assert str(caught.value) == (
        "Pixels must be whole numbers from 0 to 255, as in the rows looked at first. "
        f"Received: values from 200 to 256 in {path}, row {unseen}. Write all rows in one unit."
    )


@pytest.mark.parametrize("ending", ["tfrecord", "parquet"])
def test_rows_of_other_shapes(tmp_path, rows, ending):
    path, other = tmp_path / f"a.{ending}", [*map(list, rows[:599]), [1] * 15]
    if ending == "tfrecord":
        records(path, other)
    else:
        table(path, other, row_group_size=100)
    refused(f"of one size.*a.{ending}", path)
    if ending == "tfrecord":
        records(path, rows)
    else:
        table(path, rows)
    refused("must hold a multiple", path, image_size=(5, 5))
    refused("Flat rows need the size", path, image_size=None)


@pytest.mark.parametrize("bad", [-1, 256, 10**9])
def test_levels_out_of_range(tmp_path, rows, bad):
    rows[300, 3] = bad
    records(tmp_path / "a.tfrecord", rows)
    refused("in .*a.tfrecord, row 300|must be floats in", tmp_path / "a.tfrecord")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.5, 2.0])
def test_numbers_out_of_range(tmp_path, rows, bad):
    small = rows / 255
    small[300, 3] = bad
    records(tmp_path / "a.tfrecord", small, kind="float_list")
    refused("in .*a.tfrecord, row 300|must be (finite|floats)", tmp_path / "a.tfrecord")


def test_zeros_and_ones_that_are_none_later_on(tmp_path):
    """The sample has 0 and 1 alone, and so 3 has no meaning; nothing is guessed."""
    path, rows = tmp_path / "a.parquet", np.random.default_rng(0).integers(0, 2, (5000, 16))
    unseen = shuffled(np.arange(5000), 0)[-1]
    rows[unseen] = 3
    table(path, rows, row_group_size=5000)
    data = load(path)
    assert data.is_binary
    whole = dataclasses.replace(data.train, rows=np.arange(5000))
    with pytest.raises(DataError, match=f"Pixels must be 0 and 1.* row {unseen}"):
        whole.array()


def test_too_few_rows(tmp_path, rows):
    table(tmp_path / "a.parquet", rows[:2])
    refused("must have enough images", tmp_path / "a.parquet")


def test_row_groups_larger_than_a_part_of_memory(tmp_path, rows, monkeypatch):
    monkeypatch.setattr(parquet, "LARGEST", 1000)
    table(tmp_path / "a.parquet", rows)
    refused("Row groups must be of .* row_group_size=", tmp_path / "a.parquet")


def test_image_files(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 4, 4)).astype("uint8")
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{i:02}.png")
    assert load(tmp_path, stream=True).shape == (4, 4, 1)
    (tmp_path / "30.png").write_bytes((tmp_path / "30.png").read_bytes()[:40])
    refused("30.png", tmp_path, stream=True, image_size=None)
    Image.fromarray(pixels[0, :2]).save(tmp_path / "30.png")
    refused("one size.*30.png", tmp_path, stream=True, image_size=None)


def test_what_goes_only_with_data_read_beforehand(tmp_path, rows):
    table(tmp_path / "a.parquet", rows)
    with pytest.raises(ConfigError, match="drawn dynamically"):
        load(tmp_path / "a.parquet", binarization="static")
    with pytest.raises(ConfigError, match="read beforehand"):
        load(tmp_path / "a.parquet", skip_unreadable=True)
    with pytest.raises(ConfigError, match="for a folder of image files"):
        vae_tf.data.load("digits", stream=True)
