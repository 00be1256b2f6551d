"""What a `.tflite` file says of itself: words, JSON beside the weights, and its positions."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from vae_tf.errors import ExportError
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert import standard
from vae_tf.formats.plain import plain

NAME, AUTHOR = "vae_tf", "vae_tf"


def labelled(
    model: schema.ModelT,
    half: str,
    precision: str,
    batch: int | None,
    metadata: Mapping[str, Any],
    signatures: Mapping[str, Any],
) -> bytes:
    """Returns a `.tflite` file that says what it is, its inputs and outputs in this order.

    The converter has an order of its own, which follows neither the signature nor the alphabet.

    Args:
        model: the file, opened.
        half: "encoder" or "decoder".
        precision: of its weights.
        batch: None if it is free.
        metadata: what else it is to say of itself.
        signatures: the manifest's, all of the file's or more: inputs and outputs in order.
    """
    graphs: list[dict[str, Any]] = [
        {"name": (graph.name or b"").decode(), "inputs": {}, "outputs": {}}
        for graph in model.subgraphs
    ]
    order: dict[str, dict[str, list[str]]] = {}
    for signature in model.signatureDefs:
        name, graph = signature.signatureKey.decode(), model.subgraphs[signature.subgraphIndex]
        if name not in signatures:
            continue
        sides = {side: signatures[name][side] for side in ("inputs", "outputs")}
        graphs[signature.subgraphIndex] = {"name": name, **sides}
        order[name] = {side: list(entries) for side, entries in sides.items()}
        for side, names in order[name].items():
            ends = getattr(signature, side)
            ends.sort(key=lambda end, names=names: names.index(end.name.decode()))
            setattr(graph, side, np.int32([end.tensorIndex for end in ends]))
    words = f"{half} of a VAE, {precision}, batch {batch or 'free'}, by vae_tf"
    own = {"half": half, "precision": precision, "batch": batch, "order": order}
    facts = {**metadata, **own, "signatures": litert.shapes(model)}
    version = str(metadata.get("version", ""))
    model.description = words
    _put(model, NAME, json.dumps(plain(facts), sort_keys=True).encode())
    told = standard.content_of(f"VAE {half}", words, version, AUTHOR, graphs)
    _put(model, standard.NAME, told)
    return litert.packed(model)


def read_metadata(content: bytes) -> dict[str, Any]:
    """Returns the JSON in a `.tflite` file under the name "vae_tf".

    Raises:
        ExportError: if there is none, or `content` is no `.tflite` file.
    """
    return json.loads(read(content, NAME))


def read(content: bytes, name: str) -> bytes:
    """Returns what is in a `.tflite` file under a name.

    Raises:
        ExportError: if there is none, or `content` is no `.tflite` file.
    """
    model = litert.viewed(content)
    for entry in map(model.Metadata, range(model.MetadataLength())):
        if entry.Name() == name.encode():
            return model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
    raise ExportError(
        f"the .tflite file must hold metadata called {name!r}", "none", "Export the model again."
    )


def _put(model: schema.ModelT, name: str, content: bytes) -> None:
    """Adds metadata to a model, or replaces what it has under that name; others' stay."""
    buffer = schema.BufferT(data=np.frombuffer(content, np.uint8))
    model.metadata = model.metadata or []
    for entry in model.metadata:
        if entry.name in (name, name.encode()):
            model.buffers[entry.buffer] = buffer
            return
    model.metadata.append(schema.MetadataT(name, len(model.buffers)))
    model.buffers.append(buffer)
