"""Warm-up records: requests TF Serving sends itself after loading, before it serves.

`assets.extra/tf_serving_warmup_requests` is a TFRecord file of PredictionLog messages, at most
1000. A record that fails would keep the version from being served. The protos of TF Serving are
in a package that an export should not need, so their few fields are written here.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError
from vae_tf.exporting.options import WARMED_UP
from vae_tf.signatures.endpoint import example_of

PATH = "assets.extra/tf_serving_warmup_requests"
BATCH_SIZES = (1, WARMED_UP)
MOST_RECORDS = 1000  # TF Serving's kMaxNumRecords


def write_warmup(saved_model: Path, signatures: Mapping[str, Mapping[str, Any]]) -> Path | None:
    """Returns the file of warm-up records written into `saved_model`; None if it needs none.

    Args:
        saved_model: the directory `<model>/<version>`.
        signatures: as a manifest has them; those of other models are left out.

    Raises:
        ExportError: for more signatures than TF Serving allows records.
    """
    model = saved_model.parent.name
    records = list(warmup_records(model, signatures))
    if not records:
        return None
    if len(records) > MOST_RECORDS:
        fix = "Export fewer signatures."
        raise ExportError(f"TF Serving takes {MOST_RECORDS} warm-up records", len(records), fix)
    path = saved_model / PATH
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def warmup_records(model: str, signatures: Mapping[str, Mapping[str, Any]]) -> Iterator[bytes]:
    """Yields a PredictionLog for each signature of `model` and each of BATCH_SIZES.

    All inputs are ones: what takes the time is the first run of a graph, not its values.
    """
    for name, signature in signatures.items():
        if signature["saved_model"].split("/")[0] != model:
            continue
        for size in BATCH_SIZES:
            inputs = {
                key: _constant(spec, size, signatures) for key, spec in signature["inputs"].items()
            }
            yield prediction_log(model, name, inputs)


def prediction_log(model: str, signature: str, inputs: Mapping[str, bytes]) -> bytes:
    """Returns a PredictionLog message around one request; `inputs` are TensorProto messages.

    Fields by tensorflow_serving/apis/{prediction_log,predict,model}.proto.
    """
    spec = _field(1, model.encode()) + _field(3, signature.encode())
    entries = [_field(1, key.encode()) + _field(2, tensor) for key, tensor in inputs.items()]
    request = _field(1, spec) + b"".join(_field(2, entry) for entry in entries)
    return _field(6, _field(1, request))  # PredictionLog.predict_log, PredictLog.request


def example_picture(signatures: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Returns a white PNG file of the size that the models of a manifest take.

    Raises:
        ExportError: if no signature takes an image.
    """
    taken = (s["inputs"]["image"]["shape"] for s in signatures.values() if "image" in s["inputs"])
    shape = next(taken, None)
    if shape is None:
        raise ExportError(
            "a signature that takes a file must stand beside one that takes an image",
            sorted(signatures),
            "Export the encoder with its `encode`.",
        )
    return tf.io.encode_png(np.full(shape[1:], 255, np.uint8)).numpy()


def _constant(spec: Mapping[str, Any], size: int, signatures: Mapping[str, Any]) -> bytes:
    """Returns a TensorProto of one value, which stands for all elements: few bytes, any shape."""
    shape = (size, *spec["shape"][1:])
    given = example_of(spec)
    if spec["dtype"] == "string":
        text = example_picture(signatures) if given is None else given.encode()
        return tf.make_tensor_proto(text, shape=shape).SerializeToString()
    value = np.asarray(1 if given is None else given, spec["dtype"])
    return tf.make_tensor_proto(value, shape=shape).SerializeToString()


def _field(number: int, payload: bytes) -> bytes:
    """Returns a length-delimited field of a protobuf message."""
    length, rest = bytearray(), len(payload)
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([number << 3 | 2, *length, rest]) + payload
