"""The metadata that Android Studio, MediaPipe and Netron read: names, meanings and ranges.

A flatbuffer under the name TFLITE_METADATA, by the public metadata_schema.fbs, whose fields are
numbered here; TensorFlow has no writer of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import flatbuffers

NAME, IDENTIFIER, PARSER = "TFLITE_METADATA", b"M001", "1.0.0"
WHITE = 255.0
COLOURS = {1: 2, 3: 1}  # channels -> GRAYSCALE, RGB
FEATURE, IMAGE, NORMALIZATION = 1, 2, 1  # members of unions
Table: TypeAlias = dict[int, Any]  # slot -> a number of a byte, text, table, or list of one kind


def content_of(
    name: str, description: str, version: str, author: str, graphs: Sequence[Mapping[str, Any]]
) -> bytes:
    """Returns the flatbuffer.

    Args:
        name: of the model.
        description: of it.
        version: of it.
        author: of the file.
        graphs: of the file, in order; each its `name`, and `inputs` and `outputs`, which are those
            of the manifest's signature, in order.
    """
    described = [
        {0: graph["name"]}
        | {
            slot: [_tensor(name, entry) for name, entry in graph[side].items()]
            for slot, side in ((2, "inputs"), (3, "outputs"))
        }
        for graph in graphs
    ]
    builder = flatbuffers.Builder(4096)
    root = {0: name, 1: description, 2: version, 3: described, 4: author, 7: PARSER}
    builder.Finish(_written(builder, root), IDENTIFIER)
    return bytes(builder.Output())


def _tensor(name: str, entry: Mapping[str, Any]) -> Table:
    """Returns the table of one input or output."""
    table: Table = {0: name, 1: f"{entry['meaning']} [{entry['unit']}]"}
    bounds, sides = entry.get("range"), entry["shape"][1:]
    image = len(sides) == 3 and sides[2] in COLOURS
    table[3] = {0: IMAGE, 1: {0: COLOURS[sides[2]]}} if image else {0: FEATURE, 1: {}}
    if bounds:
        low, high = map(float, bounds)
        table[5] = {0: [high], 1: [low]}
        if image and entry["dtype"] == "float32":  # x = (level - mean) / std
            std = WHITE / (high - low)
            table[4] = [{0: NORMALIZATION, 1: {0: [0.0 - low * std], 1: [std]}}]
    return table


def _written(builder: flatbuffers.Builder, value: Any) -> int:
    """Returns where in the builder a table, text or list is, written before what points to it."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, list):
        numbers = bool(value) and isinstance(value[0], float)
        items = value if numbers else [_written(builder, item) for item in value]
        builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            builder.PrependFloat32(item) if numbers else builder.PrependUOffsetTRelative(item)
        return builder.EndVector()
    places = {
        slot: item if isinstance(item, int) else _written(builder, item)
        for slot, item in value.items()
    }
    builder.StartObject(max(places, default=-1) + 1)
    for slot, place in places.items():
        if isinstance(value[slot], int):
            builder.PrependUint8Slot(slot, place, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, place, 0)
    return builder.EndObject()
