"""What a `.tflite` file says of itself: a description in words, and JSON beside the weights."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from vae_tf.errors import ExportError
from vae_tf.exporting.litert import files as litert
from vae_tf.exporting.manifest import plain

NAME = "vae_tf"


def write_metadata(content: bytes, description: str, metadata: Mapping[str, Any]) -> bytes:
    """Returns a `.tflite` file with a description and, under the name "vae_tf", JSON.

    What the file had under that name is replaced; entries of others stay.

    Raises:
        ExportError: if `content` is no `.tflite` file.
    """
    text = json.dumps(plain(metadata), sort_keys=True)
    model = litert.opened(content)
    model.description = description
    model.metadata = model.metadata or []
    buffer = schema.BufferT(data=np.frombuffer(text.encode(), np.uint8))
    for entry in model.metadata:
        if entry.name == NAME.encode():
            model.buffers[entry.buffer] = buffer
            break
    else:
        model.metadata.append(schema.MetadataT(NAME, len(model.buffers)))
        model.buffers.append(buffer)
    return litert.packed(model)


def read_metadata(content: bytes) -> dict[str, Any]:
    """Returns the JSON in a `.tflite` file under the name "vae_tf".

    Raises:
        ExportError: if there is none, or `content` is no `.tflite` file.
    """
    model = litert.opened(content)
    for entry in model.metadata or []:
        if entry.name == NAME.encode():
            return json.loads(bytes(model.buffers[entry.buffer].data))
    raise ExportError(
        f"the .tflite file must hold metadata called {NAME!r}", "none", "Export the model again."
    )


def read_description(content: bytes) -> str:
    """Returns the description in a `.tflite` file; empty if it has none."""
    return (litert.opened(content).description or b"").decode()
