"""TFRecord shards of `tf.train.Example`, of which TensorFlow checks the checksums as it reads.

The features are `image` (or `x`), numbers or the bytes of an image file, and `label` if there is
one. A record is its length (8 bytes), that length's checksum (4), its bytes and their checksum (4).
"""

import functools
import os
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from vae_tf.data.streams.blocks import AGAIN, IMAGES, LABEL, Block, unreadable
from vae_tf.errors import DataError

ROWS, BYTES = 256, 4 * 2**20  # of a block at most
_BUFFER = 1 << 18
_KINDS = {"int64_list": tf.int64, "float_list": tf.float32, "bytes_list": tf.string}


class TFRecords:
    """Reads shards of Examples, all of which have the features of the first.

    Args:
        file: one of them.

    Raises:
        DataError: its first record is no Example with an image.
    """

    kind = "TFRecord"

    def __init__(self, file: str):
        features = _features(file)
        names = [name for name in IMAGES if name in features]
        if not names:
            received = f"{file} with {', '.join(sorted(features)) or 'nothing'}"
            fix = "Name the feature that holds the images `image`."
            raise DataError("Examples must have a feature `image`", received, fix)
        self._name = names[0]
        self._images = _parser(self._name, features[self._name])
        self._labels = _parser(LABEL, features[LABEL]) if LABEL in features else None

    def blocks(self, file: str) -> Sequence[Block]:
        """Returns the blocks of a file, of which the lengths of the records alone are read."""
        size, at, blocks = os.path.getsize(file), 0, []
        place, rows, first = 0, 0, 0
        with open(file, "rb", buffering=_BUFFER) as stream:
            while head := stream.read(12):
                after = at + 16 + struct.unpack_from("<Q", head)[0] if len(head) == 12 else size + 1
                if after > size:
                    raise unreadable(file, f"record {first + rows} is cut short or damaged")
                if rows == ROWS or (rows and after - place > BYTES):
                    blocks.append(Block(file, place, rows, first))
                    place, rows, first = at, 0, first + rows
                stream.seek(after - at - 12, os.SEEK_CUR)
                at, rows = after, rows + 1
        return [*blocks, Block(file, place, rows, first)] if rows else blocks

    def images(self, block: Block, rows: np.ndarray) -> Any:
        """Returns what the images of some records are: numbers [n, D], or encoded images."""
        return self._read(self._images, self._name, block, rows)

    def labels(self, block: Block, rows: np.ndarray) -> np.ndarray | None:
        """Returns the labels of some records, or None."""
        if self._labels is None:
            return None
        return self._read(self._labels, LABEL, block, rows).reshape(-1)

    def _read(self, parse, name: str, block: Block, rows: np.ndarray) -> np.ndarray:
        try:
            values = parse(block.file, block.place, block.rows, rows)
        except tf.errors.DataLossError as error:
            what = f"a damaged record among {block.first} to {block.first + block.rows - 1}"
            raise unreadable(block.file, what) from error
        except tf.errors.InvalidArgumentError as error:
            what = f"{block.file}, records {block.first} to {block.first + block.rows - 1}"
            expected = f"All records must have `{name}` as the first has it, of one size"
            raise DataError(expected, f"others in {what}", AGAIN) from error
        return values.numpy()


@functools.cache  # so that each is traced once
def _parser(name: str, feature: tf.io.FixedLenFeature):
    """Returns a function from a block and rows to a feature of these."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([], tf.string),
            tf.TensorSpec([], tf.int64),
            tf.TensorSpec([], tf.int64),
            tf.TensorSpec([None], tf.int64),
        ],
        autograph=False,
    )
    def parse(file, place, count, rows):
        # `tf.data.TFRecordDataset` begins at the beginning; its kernel can begin anywhere
        records = tf.raw_ops.TFRecordDatasetV2(
            filenames=file[tf.newaxis],
            compression_type="",
            buffer_size=_BUFFER,
            byte_offsets=place[tf.newaxis],
        )
        records = tf.data.experimental.from_variant(records, tf.TensorSpec([], tf.string))
        found = records.batch(count).take(1).get_single_element()
        return tf.io.parse_example(tf.gather(found, rows), {name: feature})[name]

    return parse


def _features(file: str) -> dict[str, tf.io.FixedLenFeature]:
    """Returns what the first record of a file has, by name."""
    try:
        record = next(iter(tf.data.TFRecordDataset(file).take(1).as_numpy_iterator()), None)
        if record is None:
            return {}
        example = tf.train.Example.FromString(record)
    except (tf.errors.OpError, DecodeError) as error:
        raise unreadable(file, "its first record is damaged, or no Example") from error
    found = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        if kind is not None:
            size = len(getattr(feature, kind).value)
            shape = () if kind == "bytes_list" and size == 1 else (size,)
            found[name] = tf.io.FixedLenFeature(shape, _KINDS[kind])
    return found
