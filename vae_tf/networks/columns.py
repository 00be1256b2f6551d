"""The columns of a table as a network takes them."""

from collections.abc import Mapping, Sequence

import keras

from vae_tf.checks import real, whole
from vae_tf.errors import ConfigError


def column_features(x, columns: Sequence[Mapping]):
    """Returns features [B, F] of about unit size of the rows x [B, D] of a table.

    A number stays as it is, a category of K becomes one-hot [K], and a count n becomes
    (log(1 + n) - loc) / scale.

    Args:
        x: a Keras input.
        columns: for each number of x {"kind": "number"}, {"kind": "category", "size": K} or
            {"kind": "count", "loc": ..., "scale": ...}; `Table.features` are such.

    Raises:
        ConfigError: something else, or features for rows of another length.
    """
    checked = [_checked(column) for column in columns]
    if tuple(x.shape[1:]) != (len(checked),):
        fix = "Pass as many `features` as a row has numbers."
        raise ConfigError(f"Features are for rows of {len(checked)}", tuple(x.shape[1:]), fix)
    places: dict[str, list[int]] = {"number": [], "count": [], "category": []}
    for place, column in enumerate(checked):
        places[column["kind"]].append(place)
    found = []
    if places["number"]:
        found.append(keras.ops.take(x, places["number"], axis=-1))
    if counts := places["count"]:
        logs = keras.ops.log1p(keras.ops.take(x, counts, axis=-1))
        loc, scale = ([checked[j][key] for j in counts] for key in ("loc", "scale"))
        variance = [s**2 for s in scale]
        found.append(keras.layers.Normalization(mean=loc, variance=variance)(logs))
    for j in places["category"]:
        classes = keras.ops.cast(keras.ops.take(x, j, axis=-1), "int32")
        found.append(keras.ops.one_hot(classes, checked[j]["size"]))
    return keras.layers.Concatenate()(found) if len(found) > 1 else found[0]


def _checked(column: Mapping) -> dict:
    kind = column.get("kind") if isinstance(column, Mapping) else None
    if kind == "number":
        return {"kind": kind}
    if kind == "category":
        return {"kind": kind, "size": whole("size", column.get("size"), least=2)}
    if kind == "count":
        scale = real("scale", column.get("scale"), positive=True)
        return {"kind": kind, "loc": float(column.get("loc", 0.0)), "scale": scale}
    fix = "Pass `table.features`."
    raise ConfigError("A feature must be a number, category or count", repr(column)[:80], fix)
