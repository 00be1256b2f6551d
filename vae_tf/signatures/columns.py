"""Tables: `encode_columns` and its like for `decode`, `generate` and `surprisal`, in users' words.

Each column is an input or an output [B] of its own: numbers are float64, since a year or a price
may need more digits than float32 has, and words are strings. They do what `Table.encode`,
`Table.decode` and `Table.sample` do, in the graph, so that a server needs no code for it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.data.tables.column import NAMED, SCALED, Column
from vae_tf.data.tables.table import Table
from vae_tf.errors import ExportError
from vae_tf.signatures import row_rng, rows
from vae_tf.signatures.coding import encoded_statistics
from vae_tf.signatures.conditions import Condition
from vae_tf.signatures.densities import Both, Densities
from vae_tf.signatures.endpoint import Endpoint, Input, Words
from vae_tf.signatures.halves import Halves
from vae_tf.signatures.surprisal import surprisal_of

SPREAD = 2.0  # standard deviations about the mean are called typical
SURPRISE = "-log p of column {!r} as the model has it, given the row; 0 where it is missing"
LARGEST_COUNT = 2.0**24  # beyond which float32 skips whole numbers
Outputs = dict[str, tf.Tensor]


def endpoints_of(
    table: Table, halves: Halves, generate: Endpoint | None
) -> tuple[list[Endpoint], list[Endpoint]]:
    """Returns the signatures of the encoder and of the decoder that speak in columns.

    Args:
        table: what the model's numbers mean.
        halves: the model.
        generate: the decoder's signature of that name, None if it has none.

    Raises:
        ExportError: the table belongs to another model.
    """
    if halves.shape != table.shape:
        expected = f"the table must have the model's {halves.shape} numbers"
        fix = "Pass the table whose rows the model was trained on."
        raise ExportError(expected, f"{len(table.modelled)} columns", fix)
    return [_encode(_columns(table), halves)], _decoders(_columns(table), halves, generate)


def surprisal_endpoint(table: Table, halves: Halves, prior: Both, num_samples: int) -> Endpoint:
    """Returns `surprisal_columns(<column> [B], ..., seed [B]) -> {<column> [B]}`, -log p in nats.

    Args:
        table: what the model's numbers mean.
        halves: the model.
        prior: its densities.
        num_samples: K.
    """
    columns, taken, gaps = _columns(table), halves.condition(), halves.masked

    def of(densities: Densities) -> Callable[..., Outputs]:
        def surprisal_columns(*inputs: tf.Tensor) -> Outputs:
            values, (seed, *given) = inputs[: len(columns)], inputs[len(columns) :]
            x, known, fit = _row(columns, values, gaps)
            batch = Batch(x, known, taken.value(given))
            told = surprisal_of(halves, densities, batch, seed, num_samples)
            outputs = dict(zip(columns, tf.unstack(told, axis=1), strict=True))
            return rows.spoilt(outputs, taken.also(fit, given))

        return surprisal_columns

    inputs = [_input(name, column, gaps) for name, column in columns.items()]
    return Endpoint(
        *("surprisal_columns", "vae", (*inputs, Input("seed", "int32"), *taken.inputs)),
        *(frozenset(columns), of(prior[0]), of(prior[1])),
        litert=False,
        words={name: (SURPRISE.format(column.name), "nats") for name, column in columns.items()},
        stepwise=False,
    )


def _columns(table: Table) -> dict[str, Column]:
    """Returns the modelled columns by names that a signature can have."""
    names = identifiers([column.name for column in table.modelled])
    return dict(zip(names, table.modelled, strict=True))


def identifiers(names: Sequence[Any]) -> list[str]:
    """Returns names that a graph can have, one for each column: `mean radius` -> `mean_radius`."""
    found: list[str] = []
    for name in names:
        stem = re.sub(r"\W+", "_", str(name), flags=re.ASCII).strip("_") or "column"
        stem = stem if stem[0].isalpha() else f"column_{stem}"
        number = 2
        own = stem
        while own.lower() in {other.lower() for other in found} | {"seed", "temperature", "z"}:
            own, number = f"{stem}_{number}", number + 1
        found.append(own)
    return found


def _encode(columns: Mapping[str, Column], halves: Halves) -> Endpoint:
    """Returns `encode_columns(<column> [B], ...) -> {z_mean [B, L], z_log_var [B, L]}`."""
    taken, gaps = halves.condition("encoder"), halves.masked

    def encode_columns(*inputs: tf.Tensor) -> Outputs:
        values, given = inputs[: len(columns)], inputs[len(columns) :]
        x, known, fit = _row(columns, values, gaps)
        batch = Batch(x, known if gaps else None, taken.value(given))
        return rows.spoilt(encoded_statistics(halves, batch), taken.also(fit, given))

    inputs = [_input(name, column, gaps) for name, column in columns.items()]
    required = frozenset({"z_mean", "z_log_var"})
    return Endpoint(
        "encode_columns",
        "encoder",
        (*inputs, *taken.inputs),
        required,
        encode_columns,
        litert=False,
    )


def _decoders(
    columns: Mapping[str, Column], halves: Halves, generate: Endpoint | None
) -> list[Endpoint]:
    """Returns `decode_columns(z)` and `generate_columns(seed, temperature)` -> {<column> [B]}."""
    taken, likelihood = halves.condition("decoder"), halves.parts.likelihood

    def decode_columns(z: tf.Tensor, *given: tf.Tensor) -> Outputs:
        params = halves.decode(z, taken.value(given))
        x = likelihood.point(likelihood.statistics(params))
        return _values(columns, x, taken.also(rows.within(z), given))

    outputs: dict[str, Any] = {
        "required": frozenset(columns),
        "words": {name: _words(column) for name, column in columns.items()},
        "limits": {name: _limits(column) for name, column in columns.items()},
        "litert": False,
    }
    z = Input("z", "float32", (halves.latent,))
    decode = Endpoint(
        "decode_columns", "decoder", (z, *taken.inputs), function=decode_columns, **outputs
    )
    if generate is None:
        return [decode]

    def drawn(function):
        def generate_columns(seed: tf.Tensor, temperature: tf.Tensor, *given: tf.Tensor) -> Outputs:
            z = function(seed, temperature, *given)["z"]
            fit = rows.within(z)
            z = tf.where(fit[:, tf.newaxis], z, 0.0)
            params = halves.decode(z, _condition(taken, generate, given))
            return _values(columns, _draw(likelihood, params, seed, len(columns)), fit)

        return generate_columns

    traced = None if generate.traced is None else drawn(generate.traced)
    own = Endpoint(
        "generate_columns",
        "decoder",
        generate.inputs,
        function=drawn(generate.function),
        traced=traced,
        stepwise=False,
        **outputs,
    )
    return [decode, own]


def _condition(taken: Condition, generate: Endpoint, given: Sequence[tf.Tensor]) -> Any:
    """Returns the decoder's condition, of what `generate` is given after seed and temperature."""
    named = dict(zip((i.name for i in generate.inputs[2:]), given, strict=True))
    return taken.value(taken.among(named))


def _draw(likelihood: Any, params: Any, seed: tf.Tensor, columns: int) -> tf.Tensor:
    """Returns x ~ p(x|z), [B, D], each row of its own seed."""
    # The first uniform of a seed chooses the component of a mixture prior, in `generate`
    u = row_rng.uniforms(seed, 1 + columns)[:, 1:]
    x = likelihood.from_uniforms(params, u)
    if x is not None:
        return x

    def draw(row: tuple[Any, tf.Tensor]) -> tf.Tensor:
        own, own_seed = row
        px = likelihood.distribution(tf.nest.map_structure(lambda value: value[tf.newaxis], own))
        return tf.cast(px.sample(seed=tf.stack([own_seed, 1]))[0], tf.float32)

    of_rows = tf.TensorSpec([columns], tf.float32)
    return tf.map_fn(draw, (params, seed), fn_output_signature=of_rows)


def _row(
    columns: Mapping[str, Column], values: Sequence[tf.Tensor], gaps: bool
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns x and its mask, float32 [B, D], and which rows can be answered, [B]."""
    numbers, fits, known = (
        tf.stack(each, 1)
        for each in zip(
            *(_number(c, v) for c, v in zip(columns.values(), values, strict=True)), strict=True
        )
    )
    fit = tf.reduce_all(fits if gaps else fits & known, 1)
    return tf.cast(numbers, tf.float32), tf.cast(known, tf.float32), fit


def _number(column: Column, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns x float64 [B], whether the column can hold the value, and whether there is one."""
    if column.kind in NAMED:
        known = tf.not_equal(value, "") if value.dtype == tf.string else ~tf.math.is_nan(value)
        equal = tf.equal(value[:, tf.newaxis], tf.constant(_choices(column))[tf.newaxis])
        found = tf.reduce_any(equal, 1)
        place = tf.cast(tf.argmax(tf.cast(equal, tf.int32), 1), tf.float64)
        return tf.where(found, place, 0.0), found | ~known, found | known
    known = ~tf.math.is_nan(value)
    fits = tf.math.is_finite(value)
    if column.kind == "positive":
        fits &= value > 0
        value = tf.math.log(tf.where(fits, value, 1.0))
    elif column.kind == "count":
        fits &= (value >= 0) & tf.equal(value, tf.round(value)) & (value <= LARGEST_COUNT)
    if column.kind in SCALED:
        value = (value - column.loc) / column.scale
    return tf.where(known & fits, value, 0.0), fits | ~known, known


def _values(columns: Mapping[str, Column], x: tf.Tensor, fit: tf.Tensor) -> Outputs:
    """Returns each column's values [B] of x [B, D]; NaN, or "", in the rows that are not `fit`."""
    found = {}
    for (name, column), number in zip(columns.items(), tf.unstack(x, axis=1), strict=True):
        if column.kind in NAMED:
            choices = tf.constant(_choices(column))
            last = len(column.values) - 1
            finite = tf.where(tf.math.is_finite(number), number, 0.0)
            place = tf.cast(tf.clip_by_value(tf.round(finite), 0.0, float(last)), tf.int32)
            value = tf.gather(choices, place)
        else:
            value = tf.cast(number, tf.float64)
            if column.kind in SCALED:
                value = value * column.scale + column.loc
            if column.kind == "positive":
                # A row of whole packets does not depend on its place in a batch, see row_rng
                value = tf.exp(tf.repeat(value[:, tf.newaxis], row_rng.PACKET, 1))[:, 0]
            if column.whole:
                value = tf.round(value)
        nothing = tf.constant("" if value.dtype == tf.string else np.nan, value.dtype)
        found[name] = tf.where(fit, value, nothing)
    return found


def _choices(column: Column) -> np.ndarray:
    """Returns what 0, 1, ... stand for: strings, or numbers, of which True is 1."""
    if any(isinstance(value, str) for value in column.values):
        return np.array([str(value).encode() for value in column.values], object)
    return np.array([float(value) for value in column.values], np.float64)


def _input(name: str, column: Column, gaps: bool) -> Input:
    """Returns the input of one column, with its limits."""
    text = column.kind in NAMED and _choices(column).dtype == object
    limits = _limits(column) | ({"missing": "" if text else "NaN"} if gaps else {})
    return Input(name, "string" if text else "float64", words=_words(column), more=limits)


def _words(column: Column) -> Words:
    """Returns meaning and unit of a column."""
    return f"column {column.name!r}, {column.kind}", "as in the table"


def _limits(column: Column) -> dict[str, Any]:
    """Returns what the manifest says of a column's values."""
    if column.kind in NAMED:
        choices = _choices(column).tolist()
        return {"choices": [c.decode() if isinstance(c, bytes) else c for c in choices]}
    low, high = (column.loc + side * SPREAD * column.scale for side in (-1, 1))
    if column.kind == "count":
        low, high = 0.0, float(np.ceil(np.exp(high)))
    elif column.kind == "positive":
        low, high = float(np.exp(low)), float(np.exp(high))
    if column.whole or column.kind == "count":
        least = 1.0 if column.kind == "positive" else low
        return {"typical": [max(least, float(np.rint(low))), float(np.rint(high))], "whole": True}
    return {"typical": [low, high]}
