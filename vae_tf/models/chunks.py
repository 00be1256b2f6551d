"""Functions of rows, applied to as many rows at a time as fit into memory."""

import math
import mmap
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from vae_tf.data.storage import as_tensor

# What the widest tensor of a chunk may take; a few of them exist at a time
CHUNK_BYTES = 1 << 25


class Shape(NamedTuple):
    """What a chunk holds: all draws of some examples, or some draws of one example."""

    examples: int
    draws: int


class InChunks:
    """A function of rows that computes any number of them in bounded memory.

    A row of the outputs must depend on the same row of the inputs alone. Rows that fit go in one
    call. More of them go chunk by chunk into outputs that are allocated once, so that memory does
    not grow beyond inputs and outputs; gradients pass, recomputed chunk by chunk.

    Args:
        function: a `tf.function` of tensors [N, ...], or nests of them with None for what is
            missing, that returns tensors [N, ...] or a nest of them. It takes batches of any
            size, and casts what it is given, so that no large array is cast as a whole.
        chunk_bytes: what the widest tensor of a chunk may take.
    """

    def __init__(self, function: Any, chunk_bytes: int = CHUNK_BYTES):
        self.function, self.chunk_bytes = function, chunk_bytes
        self._rows: dict[tuple, int] = {}

    def __call__(self, *inputs):
        """Returns what the function returns for all rows of `inputs`, arrays or tensors."""
        rows = [leaf for leaf in tf.nest.flatten(inputs) if leaf is not None]
        if not tf.executing_eagerly() or len(rows[0]) <= self.rows(*inputs):
            return self.function(*tf.nest.map_structure(_tensor, inputs))
        return self._joined(inputs, len(rows[0]))

    def rows(self, *inputs) -> int:
        """Returns how many rows like those of `inputs` are computed at a time."""
        key = tuple(map(rows_like, tf.nest.flatten(inputs)))
        if key not in self._rows:
            specs = tf.nest.map_structure(rows_like, inputs)
            graph = self.function.get_concrete_function(*specs).graph
            self._rows[key] = max(1, self.chunk_bytes // (4 * widest(graph)))
        return self._rows[key]

    def _joined(self, inputs, size: int):
        step = self.rows(*inputs)
        parts = [slice(start, min(start + step, size)) for start in range(0, size, step)]
        structure: Any = None

        @tf.custom_gradient
        def joined(*watched):
            nonlocal structure
            wholes: list[np.ndarray] = []
            for part in parts:
                structure = self.function(*_part(inputs, part))
                values = [value.numpy() for value in tf.nest.flatten(structure)]
                wholes = wholes or [_empty((size, *v.shape[1:]), v.dtype) for v in values]
                for whole, value in zip(wholes, values, strict=True):
                    whole[part] = value

            def gradient(*upstream, variables=()):
                return self._gradients(inputs, parts, upstream, list(variables))

            return [_shared(whole) for whole in wholes], gradient

        outputs = joined(*filter(_differentiable, tf.nest.flatten(inputs)))
        return tf.nest.pack_sequence_as(structure, tf.nest.flatten(outputs))

    def _gradients(self, inputs, parts: list[slice], upstream, variables: list):
        of_inputs, of_variables = [], [tf.zeros_like(variable) for variable in variables]
        for part in parts:
            some = _part(inputs, part)
            # Those that are arrays in `inputs` are constants
            pairs = zip(tf.nest.flatten(inputs), tf.nest.flatten(some), strict=True)
            watched = [tensor for given, tensor in pairs if _differentiable(given)]
            with tf.GradientTape() as tape:
                tape.watch(watched)
                values = tf.nest.flatten(self.function(*some))
            pairs = zip(values, upstream, strict=True)
            outputs = [(value, up[part]) for value, up in pairs if value.dtype.is_floating]
            found = tape.gradient(
                [value for value, _ in outputs],
                watched + variables,
                output_gradients=[up for _, up in outputs],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            of_inputs.append(found[: len(watched)])
            added = zip(of_variables, found[len(watched) :], strict=True)
            of_variables = [total + tf.convert_to_tensor(more) for total, more in added]
        return [tf.concat(rows, 0) for rows in zip(*of_inputs, strict=True)], of_variables


def widest(graph: tf.Graph) -> int:
    """Returns the numbers in the largest tensor of a graph for one row, 1 at least.

    Args:
        graph: whose inputs have an unknown number of rows; functions it calls count as well.
    """
    definition = graph.as_graph_def(add_shapes=True)
    nodes = [definition.node, *(function.node_def for function in definition.library.function)]
    sizes = [
        math.prod(dim.size for dim in shape.dim[1:])
        for of_function in nodes
        for node in of_function
        for shape in node.attr["_output_shapes"].list.shape
        if len(shape.dim) and shape.dim[0].size < 0 and all(d.size > 0 for d in shape.dim[1:])
    ]
    return max(sizes, default=1)


def rows_like(leaf) -> tf.TensorSpec | None:
    """Returns what any number of rows like those of an array or a tensor are; None for None."""
    return None if leaf is None else tf.TensorSpec([None, *leaf.shape[1:]], leaf.dtype)


def split(rows: int, num_samples: int) -> Shape:
    """Returns what a chunk of about so many rows holds: whole examples if their draws fit."""
    if num_samples <= rows:
        return Shape(rows // num_samples, num_samples)
    return Shape(1, math.ceil(num_samples / math.ceil(num_samples / rows)))


def _part(inputs, part: slice):
    return tf.nest.map_structure(lambda leaf: _tensor(leaf if leaf is None else leaf[part]), inputs)


def _tensor(leaf):
    return None if leaf is None else tf.convert_to_tensor(leaf)


def _differentiable(leaf) -> bool:
    return tf.is_tensor(leaf) and leaf.dtype.is_floating


def _empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Returns an array in memory that a tensor can share, and that returns to the system."""
    size = math.prod(shape)
    memory = mmap.mmap(-1, max(1, size * dtype.itemsize))
    return np.frombuffer(memory, dtype, count=size).reshape(shape)


def _shared(array: np.ndarray) -> tf.Tensor:
    # DLPack knows no other kinds
    return as_tensor(array) if array.dtype.kind in "fiu" else tf.constant(array)
