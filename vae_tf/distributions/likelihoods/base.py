"""p(x|z): what every likelihood is."""

import math
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf import noise
from vae_tf.distributions.base import ModelPart
from vae_tf.distributions.likelihoods.alphabets import Alphabet
from vae_tf.errors import ConfigError, DataError

LARGEST = np.finfo("float32").max


class Likelihood(ModelPart):
    """p(x|z); a subclass names its `parameters` and gives `distribution`.

    Where the elements of x are independent given z, some may be missing: see `elements`.

    Attributes:
        parameters: names of the decoder's outputs, each shaped as `parameter_shapes` says.
        support: the smallest and the largest value that the data may take.
        discrete: whether p(x|z) is a probability of x; else it is a density, which has units.

    Example:
        >>> class Laplace(vae_tf.likelihoods.Likelihood):
        ...     parameters = ("loc",)
        ...
        ...     def distribution(self, params):
        ...         return tfd.Independent(tfd.Laplace(params["loc"], 1.0), 1)
        >>> x = tf.zeros([1, 3])
        >>> Laplace().log_prob({"loc": x}, x).numpy().round(3)  # -3 ln 2
        array([-2.079], dtype=float32)
    """

    restated = ("statistics", "elements", "from_uniforms", "from_statistics", "alphabet")
    parameters: tuple[str, ...] = ()
    support: tuple[float, float] = (-math.inf, math.inf)
    discrete: bool = False

    def parameter_shapes(self, event_shape) -> dict[str, tuple[int, ...]]:
        """Returns the shape, without batch, of each decoder output for data of `event_shape`."""
        return {name: tuple(event_shape) for name in self.parameters}

    def distribution(self, params) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event], from the decoder's outputs."""
        expected = "A Likelihood must define `distribution`"
        raise ConfigError(expected, type(self).__name__, "Override it.")

    def elements(self, params, x: tf.Tensor) -> tf.Tensor | None:
        """Returns log p of each element of x, [B, *event], or None where they are not independent.

        An axis has size 1 where the elements along it are only known together, as the colours of a
        pixel are. A distribution that is no `tfd.Independent` tells no elements; a subclass that
        knows them in another way overrides this method.

        Args:
            params: the decoder's outputs.
            x: data, [B, *event].
        """
        inner = self.distribution(params)
        together = 0  # trailing axes that have one density
        # Not isinstance: tfd.Independent(...) is not one if its member is no CompositeTensor
        while hasattr(inner, "reinterpreted_batch_ndims"):
            inner = inner.distribution
            together = inner.event_shape.rank
        if inner.batch_shape.rank < 2:
            return None
        log_prob = inner.log_prob(x)
        for _ in range(together):
            log_prob = log_prob[..., tf.newaxis]
        return log_prob

    def log_prob(self, params, x: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Returns log p(x|z) of the elements that were observed, [B], in nats.

        Args:
            params: the decoder's outputs.
            x: data, [B, *event]; where `mask` is 0 the value, which may be NaN, has no effect.
            mask: 1 or True where x was observed, of a shape that broadcasts to that of x. Where
                elements are only known together, they count if all of them were observed. None:
                everything was observed.

        Raises:
            ConfigError: there is a mask, but the likelihood does not know single elements.
        """
        if mask is None:
            return self.distribution(params).log_prob(x)
        each, observed = self.observed_elements(params, x, mask)
        return tf.reduce_sum(tf.where(observed, each, 0.0), range(1, each.shape.rank))

    def observed_elements(
        self, params, x: tf.Tensor, mask: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns log p of each element, and whether each was observed, bool of the same shape.

        It takes and raises what `log_prob` does. The number of an element that was not observed has
        no meaning.
        """
        x = tf.cast(x, tf.float32)
        observed = tf.broadcast_to(tf.cast(mask, tf.bool), tf.shape(x))
        # Missing values leave before the density is taken: the gradient of a NaN is NaN, even
        # where its value is not chosen afterwards.
        each = self.elements(params, tf.where(observed, x, self.placeholder(x.shape[1:])))
        if each is None:
            raise ConfigError(
                f"{type(self).__name__} must tell log p of each element where data are missing",
                "a mask",
                "Override `elements`, or pass complete data without a mask.",
            )
        for axis in range(1, x.shape.rank):
            if each.shape[axis] == 1 and x.shape[axis] != 1:
                observed = tf.reduce_all(observed, axis, keepdims=True)
        return each, observed

    def placeholder(self, event_shape) -> tf.Tensor:
        """Returns values that the data may have and that stand for missing ones, [*event] or []."""
        low, high = self.support
        if self.discrete and math.isfinite(low):
            return tf.constant(low)  # what is in the middle need not be a value
        if math.isinf(low) and math.isinf(high):
            return tf.constant(0.0)
        if math.isinf(low) or math.isinf(high):
            return tf.constant(high - 1 if math.isinf(low) else low + 1)
        return tf.constant((low + high) / 2)

    def allowed(self, x: tf.Tensor) -> tf.Tensor:
        """Returns whether each value of `x` is finite and in the support, bool of its shape.

        It consists of plain operations. `check_support` asks the same of an array, and gives the
        reason.
        """
        # NaN compares as false. tf.reduce_min and reduce_max would cost half, but lose a NaN
        # under XLA.
        low, high = (np.clip(np.float32(end), -LARGEST, LARGEST) for end in self.support)
        return (x >= low) & (x <= high)

    def supports(self, x: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Returns whether all observed values are finite and in the support, bool [].

        Args:
            x: data, [B, *event].
            mask: 1 or True where x was observed, of a shape that broadcasts to that of x; None
                for everywhere.
        """
        allowed = self.allowed(tf.cast(x, tf.float32))
        if mask is not None:
            allowed |= ~tf.cast(mask, tf.bool)
        return tf.reduce_all(allowed)

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns the outputs of an exported decoder: `image` = E[x|z], [B, *event] float32.

        Each output has the batch first and is made of LiteRT's builtin operators.
        """
        return {"image": self.distribution(params).mean()}

    def point(self, statistics: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the value that stands for `statistics` averaged over z, E[x], [B, *event]."""
        return statistics["image"]

    def from_uniforms(self, params, u: tf.Tensor) -> tf.Tensor | None:
        """Returns x ~ p(x|z), [B, *event], as a function of noise.

        Args:
            params: the decoder's outputs.
            u: draws of U(0, 1), [B, *event].

        Returns:
            The draws; None if the likelihood has no such function.
        """
        return None

    def drawn(self, params, event_shape, seed: tf.Tensor, first) -> tf.Tensor:
        """Returns x ~ p(x|z), [B, *event], whose row b belongs to the position first + b.

        Args:
            params: the decoder's outputs, [B, ...].
            event_shape: shape of one example.
            seed: int32 [2].
            first: position of the first row. A draw belongs to its position, whatever the batch.
        """
        rows = tf.shape(keras.tree.flatten(params)[0])[0]
        u = noise.uniforms(seed, first, rows, math.prod(event_shape))
        x = self.from_uniforms(params, tf.reshape(u, [rows, *event_shape]))
        if x is not None:
            return x

        def draw(row):
            own, own_seed = row
            px = self.distribution(keras.tree.map_structure(lambda value: value[None], own))
            return tf.cast(px.sample(seed=own_seed)[0], tf.float32)

        own_seeds = noise.seeds(seed, first, rows)
        of_rows = tf.TensorSpec(event_shape, tf.float32)
        return tf.map_fn(draw, (params, own_seeds), fn_output_signature=of_rows)

    def from_statistics(self, statistics: Mapping[str, tf.Tensor]) -> tfd.Distribution | None:
        """Returns p(x|z), given `statistics`; None if they do not determine it.

        It gives the density of an exported decoder from its outputs alone.
        """
        return None

    def alphabet(self, event_shape) -> Alphabet | None:
        """Returns the values that an element of x may have, with the function of their masses.

        A lossless codec is built from it. It is None if the values are not finite in number, or the
        elements of an example are not independent given z.
        """
        return None

    def check_support(self, x: np.ndarray, strict: bool = False) -> None:
        """Refuses data for which this likelihood has no density.

        Args:
            x: numbers of any shape.
            strict: whether to demand a true density, not only a finite bound.

        Raises:
            DataError: a value is NaN, infinite or outside `support`.
        """
        low, high = (float(np.min(x)), float(np.max(x))) if x.size else (0.0, 0.0)
        if not (math.isfinite(low) and math.isfinite(high)):
            bad = np.argwhere(~np.isfinite(x))
            where = tuple(int(i) for i in bad[0])
            received = f"{len(bad)} NaN or infinite value(s), the first at index {where}"
            fix = "Remove or impute them."
            if not np.isinf(x).any():
                fix = (
                    'If NaN marks what is missing, make the model with VAE(..., missing="nan") '
                    'or pass {"x": x, "mask": ~np.isnan(x)}; else remove or impute them.'
                )
            raise DataError("The data must be finite numbers", received, fix)
        # An end of the support that float32 has rounded is meant to be in it
        least, most = self.support
        if low < min(least, float(np.float32(least))) or high > max(most, float(np.float32(most))):
            raise DataError(
                f"{type(self).__name__} takes data from {self.support[0]:g} to {self.support[1]:g}",
                f"min={low:g}, max={high:g}",
                "Divide 0-255 images by 255." if high > 1 else "Rescale the data.",
            )


def check_whole(x: np.ndarray, owner: str) -> None:
    """Raises DataError unless all of `x` are whole numbers."""
    fraction = x != np.rint(x)
    if np.any(fraction):
        where = tuple(int(i) for i in np.argwhere(fraction)[0])
        raise DataError(
            f"{owner} takes whole numbers",
            f"{int(np.sum(fraction))} value(s) that are not, the first {x[where]:g} at {where}",
            "Pass the counts or classes themselves, neither scaled nor logged.",
        )


def whole_numbers(x: tf.Tensor) -> tf.Tensor:
    """Returns where `x` is a whole number, bool of its shape."""
    return x == tf.round(x)


def event_rank(x: tf.Tensor) -> int:
    """Returns the number of axes after the batch."""
    return x.shape.rank - 1
