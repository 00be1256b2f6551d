"""p(z) as any distribution of TensorFlow Probability."""

import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from vae_tf.checks import instance
from vae_tf.distributions.normal import Normal
from vae_tf.distributions.priors.base import Prior
from vae_tf.errors import ConfigError


@keras.saving.register_keras_serializable(package="vae_tf")
class DistributionPrior(Prior):
    """p(z) as the user's own `tfd` object, which is not trained.

    It is saved as names and numbers: its class, its parameters, and theirs. Variables are refused,
    since their values would be frozen; for a trainable prior, subclass Prior.

    Args:
        distribution: a distribution of batch [], event [latent_dim] and dtype float32.

    Raises:
        ConfigError: the distribution has another shape, or parameters that are neither numbers nor
            objects of TFP.

    Example:
        >>> laplace = tfd.Independent(tfd.Laplace(tf.zeros(8), 1.0), 1)
        >>> prior = vae_tf.priors.DistributionPrior(laplace)
        >>> prior.latent_dim, prior.factorized
        (8, True)
    """

    def __init__(self, distribution: tfd.Distribution, **kwargs):
        described = distribution if isinstance(distribution, dict) else _describe(distribution)
        made = _make(described)
        instance("distribution", made, tfd.Distribution)
        batch, event, dtype = made.batch_shape, made.event_shape, made.dtype
        vectors = isinstance(event, tf.TensorShape) and event.rank == 1  # a joint one has several
        if not vectors or batch.rank or dtype != tf.float32:
            received = f"batch {batch}, event {event}, {getattr(dtype, 'name', dtype)}"
            fix = "Wrap it, as in tfd.Independent(tfd.Laplace(tf.zeros(8), 1.0), 1)."
            expected = "The distribution must have batch [], event [latent_dim], dtype float32"
            raise ConfigError(expected, received, fix)
        super().__init__(event[0], **kwargs)
        self._described = _Frozen(described)
        independent = isinstance(made, tfd.Independent)
        self.factorized = independent and made.distribution.event_shape.rank == 0

    def distribution(self) -> tfd.Distribution:
        """Returns p(z), batch [], event [latent_dim]."""
        return _make(self._described.value)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.pop("latent_dim")
        return {**config, "distribution": self._described.value}


class _Frozen:
    """Keeps a structure from Keras, which would turn its lists and dicts into tracked ones."""

    def __init__(self, value):
        self.value = value


def _describe(value: Any) -> Any:
    """Returns `value` as JSON can hold it."""
    if isinstance(value, (tfd.Distribution, tfb.Bijector)):
        module = "distributions" if isinstance(value, tfd.Distribution) else "bijectors"
        name = type(value).__name__.lstrip("_")
        own = type(value) is Normal
        foreign = not own and not type(value).__module__.startswith("tensorflow_probability.")
        if foreign or not hasattr(tfd if module == "distributions" else tfb, name):
            fix = "Subclass vae_tf.priors.Prior, and make the distribution in its `distribution`."
            raise ConfigError("The parts must be classes of TFP", type(value).__name__, fix)
        defaults = inspect.signature(type(value).__init__).parameters
        parameters = {
            k: _describe(v)
            for k, v in value.parameters.items()
            if k != "name" and not (inspect.isfunction(v) and v is defaults[k].default)
        }
        return {"module": module, "name": name, "parameters": parameters}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_describe(member) for member in value]
    if isinstance(value, tf.DType):
        return {"dtype": value.name}
    if isinstance(value, (np.ndarray, np.generic, tf.Tensor)):
        array = np.asarray(value)
        return {"array": array.tolist(), "of": array.dtype.name}
    fix = "Subclass vae_tf.priors.Prior, and make the distribution in its `distribution`."
    raise ConfigError("Parameters must be numbers or objects of TFP", repr(value)[:80], fix)


def _make(description: Any) -> Any:
    """Returns what `_describe` described."""
    if isinstance(description, list):
        return [_make(member) for member in description]
    if not isinstance(description, dict):
        return description
    if "dtype" in description:
        return tf.as_dtype(description["dtype"])
    if "array" in description:
        return tf.constant(description["array"], description["of"])
    home = tfd if description["module"] == "distributions" else tfb
    parameters = {name: _make(value) for name, value in description["parameters"].items()}
    made = Normal if (home, description["name"]) == (tfd, "Normal") else None
    return (made or getattr(home, description["name"]))(**parameters)
