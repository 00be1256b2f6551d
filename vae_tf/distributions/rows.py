"""Keras networks inside priors and posteriors, called with vectors of any leading axes."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from vae_tf.errors import ConfigError
from vae_tf.wiring import Wiring


class Rows:
    """A network from vectors [..., n] to vectors [..., m], by the names of inputs and outputs.

    Inside, the network takes and gives tensors of any shape, such as feature maps, which are
    flattened outside of it.

    Args:
        network: a functional Keras model.
        role: what it is to the user.
        takes: what its inputs may be named.
        gives: the outputs it must have, all of one shape; `state` may be another.

    Attributes:
        inputs: the shape of each input, without batch.
        state: the shape of the output `state`, None if there is none.
        size: numbers in each of the other outputs.
    """

    def __init__(self, network: keras.Model, role: str, takes: Sequence[str], gives: Sequence[str]):
        self.wiring = Wiring(network, role, main=takes[0])
        names, outputs = self.wiring.names, self.wiring.output_shapes()
        if outputs is None or set(names) - set(takes):
            fix = "Pass a functional keras.Model; networks.mlp_ladder builds such."
            expected = f"The {role} must have inputs among {', '.join(takes)}"
            raise ConfigError(expected, ", ".join(names) or "an unbuilt model", fix)
        if not isinstance(outputs, dict) or set(outputs) - {"state"} != set(gives):
            fix = "Name its outputs: keras.Model(inputs, {name: tensor, ...})."
            raise ConfigError(f"The {role} must put out {', '.join(gives)}", str(outputs), fix)
        self.inputs = {name: tuple(self.wiring.tensor(name).shape[1:]) for name in names}
        shapes = {outputs[name] for name in gives}
        if len(shapes) > 1 or any(None in s for s in (*outputs.values(), *self.inputs.values())):
            fix = "Let these layers have one shape, and no tensor a free size."
            raise ConfigError(f"The {role} must give {' and '.join(gives)} one shape", outputs, fix)
        self.state, self.size = outputs.get("state"), math.prod(outputs[gives[0]])

    def check(self, name: str, shape: tuple | None, what: str) -> None:
        """Raises ConfigError unless the input of that name, if there is one, fits `what`."""
        wanted = self.inputs.get(name)
        if wanted is None or (shape is not None and math.prod(wanted) == math.prod(shape)):
            return
        received = "nothing" if shape is None else f"{math.prod(shape)} numbers"
        expected = f"The {self.wiring.role}'s input {name} takes {math.prod(wanted)} numbers"
        raise ConfigError(expected, f"{what} with {received}", "Build all networks for each other.")

    def __call__(self, **values: tf.Tensor | None) -> dict[str, tf.Tensor]:
        """Returns the outputs [..., m] of inputs [..., n], whose leading axes broadcast."""
        used = {name: values[name] for name in self.inputs}
        leads = [_sizes(value)[:-1] for value in used.values()]
        lead = [_common(*axes) for axes in _aligned(leads)]
        fed = []
        for name, value in used.items():
            *own, last = _sizes(value)
            if not _fits(own, lead):
                value = tf.broadcast_to(value, [*lead, last])
            fed.append(_reshaped(value, [-1], self.inputs[name]))
        return {
            name: _reshaped(tf.cast(out, tf.float32), lead, [math.prod(out.shape[1:])])
            for name, out in self.wiring.run(fed).items()
        }


def flattened(value: tf.Tensor) -> tf.Tensor:
    """Returns a tensor [B, ...] as vectors [B, n]."""
    return _reshaped(value, [-1], [math.prod(value.shape[1:])])


def _sizes(value: tf.Tensor) -> list:
    """Returns the sizes of the axes, integers where they are known."""
    dynamic = tf.shape(value)
    return [dynamic[i] if size is None else size for i, size in enumerate(value.shape)]


def _aligned(leads: list[list]) -> list[tuple]:
    longest = max(map(len, leads))
    return list(zip(*([1] * (longest - len(lead)) + lead for lead in leads), strict=True))


def _common(*sizes):
    """Returns the size that sizes broadcast to, one that is not known being no 1."""
    known = [size for size in sizes if isinstance(size, int) and size != 1]
    unknown = [size for size in sizes if not isinstance(size, int)]
    return (known or unknown or [1])[0]


def _fits(own: list, lead: list) -> bool:
    """Returns whether sizes need no broadcasting to those of `lead`."""
    pairs = zip(own, lead, strict=False)
    return len(own) == len(lead) and all(
        not isinstance(size, int) or (isinstance(common, int) and size == common)
        for size, common in pairs
    )


def _reshaped(value: tf.Tensor, lead: list, event: Sequence[int]) -> tf.Tensor:
    """Returns a tensor of that shape: itself, if only the size of a batch is not known.

    Of reshapes that change nothing LiteRT makes wrong numbers at times, after a change of batch.
    """
    if len(lead) == 1 and tuple(value.shape[1:]) == tuple(event):
        return value
    return tf.reshape(value, [*([-1] if len(lead) == 1 else lead), *event])
