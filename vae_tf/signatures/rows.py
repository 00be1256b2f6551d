"""Requests that cannot be answered: rows whose outputs are NaN, and errors for whole requests.

An error would hit every client whose rows a server's batching has put together, so a row that is
wrong is NaN and no other is. Shapes that are wrong, and more rows than memory is meant for, are
errors; a server is configured so that it never puts so many together.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

NAN = float("nan")
# Rounding of values that were computed elsewhere, such as 255 * (1 / 255).
TOLERANCE = 1e-6  # of the range
LARGEST = float(tf.float32.max)
# Limits of rows in a request: the largest tensor of a graph is to stay below so many bytes
MEMORY, FEWEST, MOST = 2**30, 32, 4096
PRIME = 7919  # rows; a tensor whose size it divides grows with them


def within(x: tf.Tensor, low: float = -LARGEST, high: float = LARGEST) -> tf.Tensor:
    """Returns which rows of x [B, ...] are finite and in [low, high] throughout, bool [B]."""
    slack = TOLERANCE * (high - low) if high - low < LARGEST else 0.0
    inside = (x >= low - slack) & (x <= high + slack)  # false for NaN
    return tf.reduce_all(inside, list(range(1, x.shape.rank))) if x.shape.rank > 1 else inside


def spoilt(outputs: Mapping[str, tf.Tensor], fit: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns float32 `outputs` [B, ...] with NaN throughout the rows that are not `fit` [B]."""
    # Added last: an activation may take NaN for 0.
    poison = tf.where(fit, 0.0, NAN)
    return {
        name: value + tf.reshape(poison, [-1] + [1] * (value.shape.rank - 1))
        if value.shape.rank  # no batch: `check_outputs` refuses it
        else value
        for name, value in outputs.items()
    }


def checked(
    function: Callable[..., dict[str, tf.Tensor]],
    shapes: Sequence[tuple[int, ...]],
    max_rows: int | None = None,
) -> Callable[..., dict[str, tf.Tensor]]:
    """Returns `function` with an error for inputs that are not [B, *shape], B the same for all.

    And for B above `max_rows`, if that is given, before anything is computed.

    Runtimes do not look: TensorFlow's C++ session takes [2, 5, 6, 1] for [B, 6, 5, 1], a seed [1]
    would be broadcast, and a convolution of oneDNN aborts the process for an image without
    channels, and for an empty batch returns another number of channels.
    """

    # As in `fit` and `predict`: Keras does not rewrite what layers do either
    @tf.autograph.experimental.do_not_convert
    def of_those_shapes(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        first, *others = (
            tf.ensure_shape(x, (None, *shape)) for x, shape in zip(inputs, shapes, strict=True)
        )
        size = tf.shape(first)[0]
        if max_rows is not None:
            told = f"A request may have at most {max_rows} rows; send the others in further ones."
            allowed = tf.debugging.Assert(size <= max_rows, [told, "Rows received:", size])
            with tf.control_dependencies([allowed]):
                first = tf.identity(first)
        for x in others:
            tf.debugging.assert_equal(tf.shape(x)[0], size, "one row for each")
        # LiteRT leaves assertions out, and TensorFlow some reshapes.
        others = [
            tf.reshape(x, [size, *shape]) for x, shape in zip(others, shapes[1:], strict=True)
        ]
        outputs = function(first, *others)
        return {name: _of_its_shape(value) for name, value in outputs.items()}

    return of_those_shapes


def most(
    function: Callable[..., dict[str, tf.Tensor]], inputs: Sequence[tuple[tuple[int, ...], str]]
) -> int:
    """Returns how many rows keep each tensor of a graph below MEMORY, a power of two.

    At least FEWEST, whatever they take, and at most MOST.

    Args:
        function: what the graph computes.
        inputs: shape of a row and dtype of each.
    """
    specs = [tf.TensorSpec((PRIME, *shape), dtype) for shape, dtype in inputs]
    try:
        traced = tf.function(function, autograph=False).get_concrete_function(*specs)
    except Exception:
        return FEWEST  # the export will say what is wrong with the graph when it writes it
    graph = traced.graph.as_graph_def(add_shapes=True)
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    sizes = [
        math.prod(side.size for side in shape.dim)
        for node in nodes
        for shape in node.attr["_output_shapes"].list.shape
        if not shape.unknown_rank and all(side.size >= 0 for side in shape.dim)
    ]
    of_row = max(size // PRIME for size in sizes if size % PRIME == 0) * tf.float32.size
    return min(max(2 ** int(math.log2(max(MEMORY // of_row, 1))), FEWEST), MOST)


def _of_its_shape(value: tf.Tensor) -> tf.Tensor:
    """Returns a tensor [B, ...] of the shape that its graph promises, also where B is 0.

    By a reshape, for LiteRT has no EnsureShape where it cannot follow the shapes itself.
    """
    sides = value.shape[1:] if value.shape.rank else [None]
    return value if None in sides else tf.reshape(value, [-1, *sides])
