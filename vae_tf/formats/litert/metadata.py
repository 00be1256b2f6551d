"""What a `.tflite` file says of itself: words, JSON beside the weights, and its positions."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from vae_tf.errors import ExportError
from vae_tf.formats.litert import files as litert
from vae_tf.formats.plain import plain

NAME = "vae_tf"
Order = Mapping[str, Mapping[str, Sequence[str]]]  # signature -> `inputs`, `outputs` -> names


def labelled(
    content: bytes,
    half: str,
    precision: str,
    batch: int | None,
    metadata: Mapping[str, Any],
    order: Order,
) -> bytes:
    """Returns a `.tflite` file that says what it is, its inputs and outputs in this order.

    Args:
        content: the file.
        half: "encoder" or "decoder".
        precision: of its weights.
        batch: None if it is free.
        metadata: what else it is to say of itself.
        order: of all its signatures, or of more.
    """
    shapes = litert.shapes(content)
    own = {"half": half, "precision": precision, "batch": batch}
    here = {name: order[name] for name in shapes if name in order}
    words = f"{half} of a VAE, {precision}, batch {batch or 'free'}, by vae_tf"
    facts = {**metadata, **own, "signatures": shapes, "order": here}
    return write_metadata(content, words, facts, here)


def write_metadata(
    content: bytes, description: str, metadata: Mapping[str, Any], order: Order | None = None
) -> bytes:
    """Returns a `.tflite` file with a description and, under the name "vae_tf", JSON.

    What the file had under that name is replaced; entries of others stay. Where an `order` is
    given, inputs and outputs get their positions by it: the converter has its own, which follows
    neither the signature nor the alphabet.

    Raises:
        ExportError: if `content` is no `.tflite` file.
    """
    text = json.dumps(plain(metadata), sort_keys=True)
    model = litert.opened(content)
    for signature in model.signatureDefs or []:
        graph = model.subgraphs[signature.subgraphIndex]
        for side, names in (order or {}).get(signature.signatureKey.decode(), {}).items():
            ends = getattr(signature, side)
            ends.sort(key=lambda end, names=names: names.index(end.name.decode()))
            setattr(graph, side, np.int32([end.tensorIndex for end in ends]))
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
