"""Framing of records, beside TensorFlow's own reader and writer."""

import pytest
import tensorflow as tf

pytest.importorskip("google_crc32c", reason="`make test-beam` has it, in an environment of its own")

from vae_tf.bulk import tfrecord

RECORDS = [b"", b"one", bytes(range(256)) * 40]


def test_tensorflow_reads_what_is_written(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"".join(map(tfrecord.framed, RECORDS)))
    assert list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()) == RECORDS


def test_what_tensorflow_writes_is_read(tmp_path):
    path = tmp_path / "file"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in RECORDS:
            writer.write(record)
    with path.open("rb") as stream:
        assert list(tfrecord.records(stream)) == RECORDS


@pytest.mark.parametrize("cut", [1, 11, 12, 17])
def test_a_cut_file_is_found_out(tmp_path, cut):
    path = tmp_path / "file"
    path.write_bytes(tfrecord.framed(b"record")[:cut])
    with path.open("rb") as stream, pytest.raises(ValueError, match="record 0"):
        list(tfrecord.records(stream))


@pytest.mark.parametrize("place", range(0, 22, 3))
def test_a_changed_byte_is_found_out(tmp_path, place):
    data = bytearray(tfrecord.framed(b"record"))
    data[place] ^= 1
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as stream, pytest.raises(ValueError, match="record 0"):
        list(tfrecord.records(stream))
