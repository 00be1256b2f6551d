"""What priors, posteriors and likelihoods share: being found by Keras, and reading parameters."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import keras
import tensorflow as tf

from vae_tf.errors import ConfigError
from vae_tf.settings import Settings


class ModelPart(Settings, keras.layers.Layer):
    """A part of a model that Keras tracks, saves and restores; it is never called.

    A Keras layer must return tensors, and what these parts return are `tfd` objects and terms
    of a bound. Everything is float32 whatever the global dtype policy: a log-density summed in
    half precision is off by whole nats.

    Attributes:
        use: how it is used instead of being called, for the message.
        restated: methods that say again what `distribution` says, such as draws from noise. A
            subclass with a `distribution` of its own inherits none of them: they would go on
            speaking of the old one.
    """

    use = "Use its `distribution(...)` method."
    restated: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        base = next(parent for parent in cls.__mro__ if "restated" in vars(parent))
        for name in cls.restated:
            if _home(cls, "distribution") < _home(cls, name):
                setattr(cls, name, getattr(base, name))

    def __init__(self, **kwargs) -> None:
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.built = True  # variables are made in __init__; there is no input shape to wait for

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.pop("dtype", None)
        return config

    def call(self, inputs):
        """Refuses: this is not a layer of a network."""
        raise ConfigError(f"{type(self).__name__} is not a layer of a network", "a call", self.use)


def _home(cls: type, name: str) -> int:
    """Returns the place of the class, among `cls` and those it inherits from, that defines it."""
    return next(i for i, parent in enumerate(cls.__mro__) if name in vars(parent))


def named_parameters(params, names: Sequence[str], owner: str) -> dict[str, tf.Tensor]:
    """Returns what a network put out as `{name: float32 tensor}`.

    Args:
        params: a mapping with these names, a sequence in their order, or one tensor if there is
            one name.
        names: the parameters wanted.
        owner: who wants them, for the message.

    Raises:
        ConfigError: the network's outputs are other ones.
    """
    wanted = f"{owner} needs the network outputs {list(names)}"
    if isinstance(params, Mapping):
        if set(params) != set(names):
            fix = "Name the network's outputs so: `keras.Model(inputs, {name: tensor, ...})`."
            raise ConfigError(wanted, sorted(params), fix)
        tensors = [params[name] for name in names]
    else:
        tensors = list(params) if isinstance(params, (list, tuple)) else [params]
        if len(tensors) != len(names):
            fix = f"Return a dict with these names, or {len(names)} tensor(s) in this order."
            raise ConfigError(wanted, f"{len(tensors)} tensor(s)", fix)
    return {name: tf.cast(t, tf.float32) for name, t in zip(names, tensors, strict=True)}
