"""Whether networks end in what their outputs are called, as far as Keras's graph tells."""

import re
from collections.abc import Mapping, Sequence

import keras

from vae_tf.distributions.likelihoods.binary import Bernoulli
from vae_tf.errors import ConfigError
from vae_tf.wiring import Wiring

# What any real number may be, and what these can never be
POSITIVE = frozenset({"relu", "relu6", "softplus", "exponential", "sigmoid", "hard_sigmoid"})
POSITIVE |= {"softmax", "exp"}
BOUNDED = POSITIVE | {"tanh", "hard_tanh", "softsign", "soft_sign", "log_sigmoid"}
WRONG = {
    "logits": BOUNDED,
    "log_scale": POSITIVE,
    "log_rate": POSITIVE,
    "log_mean": POSITIVE,
    "log_dispersion": POSITIVE,
    "z_log_var": POSITIVE,
    "probs": BOUNDED - {"sigmoid", "hard_sigmoid", "softmax"} | {"linear"},
}
# Layers and operations that pass on the values they are given, or a part of them
PASSING = frozenset({"reshape", "flatten", "permute", "cropping1d", "cropping2d", "cropping3d"})
PASSING |= {"transpose", "squeeze", "expanddims", "getitem", "cast", "identity", "repeatvector"}
PASSING |= {"inputlayer", "split", "ravel"}


def default_likelihood(decoder: keras.Model) -> Bernoulli:
    """Returns a Bernoulli of log-odds, or of probabilities if the one output is named probs."""
    shapes = Wiring(decoder, "decoder", main="z").output_shapes()
    return Bernoulli(
        "probs" if isinstance(shapes, Mapping) and set(shapes) == {"probs"} else "logits"
    )


def check_endings(wiring: Wiring, parameters: Sequence[str], owner: object) -> None:
    """Raises ConfigError where an output ends in an activation that its name rules out.

    Args:
        wiring: of the network.
        parameters: names of the outputs that are needed.
        owner: the posterior or likelihood that needs them; only ours say what names mean.
    """
    if not type(owner).__module__.startswith("vae_tf."):
        return
    try:
        outputs = wiring.by_name(wiring.network.output)
    except (AttributeError, ValueError):  # Keras's ways of saying it does not know
        return
    if not isinstance(outputs, Mapping):
        outputs = dict.fromkeys(parameters, outputs) if len(parameters) == 1 else {}
    for name, tensor in outputs.items():
        meaning, ending = meaning_of(name), ending_of(tensor)
        if ending is not None and ending in WRONG.get(meaning, ()):
            kind = type(owner).__name__
            raise ConfigError(
                f"The {wiring.role}'s output for {kind} must be {name}, {_meaning(meaning)}",
                f"the output of a {ending} activation"
                if ending != "linear"
                else "the output of a layer without activation",
                remedy(kind, meaning, ending),
            )


def _meaning(name: str) -> str:
    if name == "probs":
        return "from 0 to 1"
    return "log-odds from minus to plus infinity" if name == "logits" else "a logarithm"


def meaning_of(name: str) -> str:
    """Returns the name of a parameter without the part or the group it is of."""
    return re.sub(r"^(\d+|group_\d+)_", "", name)


def remedy(kind: str, name: str, ending: str) -> str:
    """Returns what to do about the output `name` of a likelihood of that kind."""
    if name == "probs":
        return 'End it in activation="sigmoid".'
    if (kind, name, ending) == ("Bernoulli", "logits", "sigmoid"):
        return 'Pass likelihood=Bernoulli(parameter="probs"), or end it without an activation.'
    return "End it in a layer without an activation."


def ending_of(tensor) -> str | None:
    """Returns the name of the activation that a symbolic tensor comes out of, None if unknown.

    "linear" is that of a Dense or convolutional layer without one.
    """
    while True:
        history = getattr(tensor, "_keras_history", None)
        if history is None:
            return None
        operation, _, index = history
        if isinstance(operation, keras.Model):
            try:
                tensor = keras.tree.flatten(operation.outputs)[index]
            except (AttributeError, TypeError, IndexError):
                return None
            continue
        kind = type(operation).__name__.lower()
        activation = getattr(operation, "activation", None)
        name = getattr(activation, "__name__", None) or kind
        weights = isinstance(operation, keras.layers.Layer) and bool(operation.weights)
        passes = kind in PASSING or (name == "linear" and not weights)
        inputs = operation._inbound_nodes[history.node_index].input_tensors if passes else []
        if not passes or len(inputs) != 1:
            return name if not passes else None
        tensor = inputs[0]
