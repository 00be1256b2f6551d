"""Batches of columns -> a Parquet or TFRecord file, whose bytes follow from them alone."""

from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from vae_tf.bulk import tfrecord


class ParquetSink:
    """Writes batches as row groups; a tensor is a list of fixed size, flat."""

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "ParquetSink":
        return self

    def __exit__(self, *error: Any) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, columns: Mapping[str, Any]) -> None:
        """Writes the rows of some columns."""
        arrays = {name: self._array(value) for name, value in columns.items()}
        table = pa.table(arrays)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._stream, table.schema)
        self._writer.write_table(table)

    def _array(self, values: Any) -> pa.Array:
        if isinstance(values, list):
            return pa.array(values, pa.string())
        if values.dtype.kind == "O":
            return pa.array(list(values), pa.string() if _words(values) else pa.binary())
        if values.ndim == 1:
            return pa.array(values)
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(values.shape[1:])))


def _words(values: np.ndarray) -> bool:
    return bool(len(values)) and isinstance(values.flat[0], str)


class TFRecordSink:
    """Writes rows as Examples; a tensor is a list, flat."""

    def __init__(self, stream: BinaryIO):
        self._stream = stream

    def __enter__(self) -> "TFRecordSink":
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def write(self, columns: Mapping[str, Any]) -> None:
        """Writes the rows of some columns."""
        for i in range(len(columns["row"])):
            example = tf.train.Example()
            for name, values in columns.items():
                feature, value = example.features.feature[name], values[i]
                if isinstance(value, str | bytes):
                    text = value.encode() if isinstance(value, str) else value
                    feature.bytes_list.value.append(text)
                elif value.dtype.kind == "f":
                    feature.float_list.value.extend(value.reshape(-1).tolist())
                elif value.dtype.kind == "O":
                    feature.bytes_list.value.extend(value.reshape(-1).tolist())
                else:
                    feature.int64_list.value.extend(value.reshape(-1).tolist())
            self._stream.write(tfrecord.framed(example.SerializeToString(deterministic=True)))


SINKS: dict[str, Any] = {"parquet": ParquetSink, "tfrecord": TFRecordSink}
