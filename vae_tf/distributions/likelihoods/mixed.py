"""p(x|z) for tables, whose columns are of different kinds."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import instance, whole
from vae_tf.distributions.base import named_parameters
from vae_tf.distributions.likelihoods.base import Likelihood
from vae_tf.errors import ConfigError, DataError


@keras.saving.register_keras_serializable(package="vae_tf")
class Mixed(Likelihood):
    """p(x|z) = prod_j p_j(x_j|z) for rows [B, D], each part a likelihood of some columns.

    `Mixed([(GaussianLearnedScale(), 3), (Bernoulli(), 2), (Categorical(5), 1)])` is for rows of
    six numbers. The decoder's outputs are those of the parts, named `<part>_<parameter>`:
    `0_loc` [3], `1_logits` [2], `2_logits` [5].

    Attributes:
        discrete: whether all parts are discrete.

    Args:
        columns: pairs of a likelihood and the number of consecutive columns that it describes.

    Raises:
        ConfigError: there are no pairs, a part is itself a Mixed or occurs twice, or a count is
            below 1.

    Example:
        >>> binary, category = vae_tf.likelihoods.Bernoulli(), vae_tf.likelihoods.Categorical(5)
        >>> mixed = vae_tf.likelihoods.Mixed([(binary, 2), (category, 1)])
        >>> mixed.parameter_shapes((3,))
        {'0_logits': (2,), '1_logits': (5,)}
        >>> params = {"0_logits": tf.zeros([1, 2]), "1_logits": tf.zeros([1, 5])}
        >>> mixed.log_prob(params, tf.ones([1, 3])).numpy().round(3)  # -ln(2 * 2 * 5)
        array([-2.996], dtype=float32)
    """

    def __init__(self, columns: Sequence[tuple[Likelihood, int]], **kwargs):
        super().__init__(**kwargs)
        pairs: list[tuple] = [
            tuple(pair) if isinstance(pair, (tuple, list)) else () for pair in columns
        ]
        if not pairs or any(len(pair) != 2 for pair in pairs):
            fix = "Pass [(Bernoulli(), 2), (Poisson(), 1)], for example."
            raise ConfigError("`columns` must be pairs (likelihood, count)", repr(columns), fix)
        self.parts: list[Likelihood] = [part for part, _ in pairs]
        self.sizes = [whole("count", size) for _, size in pairs]
        for part in self.parts:
            instance("likelihood", part, Likelihood)
            if isinstance(part, Mixed):
                fix = "List its columns in the outer one."
                raise ConfigError("A part of Mixed must be of one kind", "a Mixed", fix)
        if len(set(map(id, self.parts))) < len(self.parts):
            fix = "Make one object for each pair, or one pair with more columns."
            raise ConfigError("Parts must be distinct objects", "one object twice", fix)
        self.parameters = tuple(self.parameter_shapes((sum(self.sizes),)))
        self.discrete = all(part.discrete for part in self.parts)

    def parameter_shapes(self, event_shape) -> dict[str, tuple[int, ...]]:
        """Returns the shape, without batch, of each decoder output for rows of D numbers.

        Raises:
            ConfigError: `event_shape` is not (D,).
        """
        if tuple(event_shape) != (sum(self.sizes),):
            fix = "Let the counts in `columns` add up to the number of columns."
            raise ConfigError(f"Mixed takes rows of {sum(self.sizes)}", tuple(event_shape), fix)
        return {
            f"{i}_{name}": shape
            for i, (part, size) in enumerate(zip(self.parts, self.sizes, strict=True))
            for name, shape in part.parameter_shapes((size,)).items()
        }

    def _each(self, params) -> list[tuple[Likelihood, Mapping[str, tf.Tensor]]]:
        """Returns each part with its decoder outputs."""
        values = named_parameters(params, self.parameters, type(self).__name__)
        return [
            (part, {name: values[f"{i}_{name}"] for name in part.parameters})
            for i, part in enumerate(self.parts)
        ]

    def distribution(self, params) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [D]."""
        return tfd.Blockwise([part.distribution(own) for part, own in self._each(params)])

    def elements(self, params, x: tf.Tensor) -> tf.Tensor | None:
        """Returns log p of each number of the rows, [B, D]; None if those of a part are None."""
        columns = tf.split(x, self.sizes, -1)
        parts = zip(self._each(params), columns, strict=True)
        each = [part.elements(own, values) for (part, own), values in parts]
        return None if any(one is None for one in each) else tf.concat(each, -1)

    def placeholder(self, event_shape) -> tf.Tensor:
        """Returns the parts' own, side by side, [D]."""
        parts = zip(self.parts, self.sizes, strict=True)
        return tf.concat([tf.broadcast_to(p.placeholder((n,)), [n]) for p, n in parts], 0)

    def allowed(self, x: tf.Tensor) -> tf.Tensor:
        """Returns where the columns' likelihoods give a density, bool [B, D]."""
        columns = tf.split(x, self.sizes, -1)
        parts = zip(self.parts, columns, strict=True)
        return tf.concat([part.allowed(values) for part, values in parts], -1)

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns `image`, the parts' side by side [B, D], and their others as `<part>_<name>`."""
        statistics = [part.statistics(own) for part, own in self._each(params)]
        image = tf.concat([values.pop("image") for values in statistics], -1)
        others = {
            f"{i}_{name}": value
            for i, values in enumerate(statistics)
            for name, value in values.items()
        }
        return {"image": image, **others}

    def _of_parts(self, statistics: Mapping[str, tf.Tensor]) -> list[dict[str, tf.Tensor]]:
        """Returns the statistics of each part."""
        images = tf.split(statistics["image"], self.sizes, -1)
        return [
            {
                "image": image,
                **{
                    name.removeprefix(f"{i}_"): value
                    for name, value in statistics.items()
                    if name.startswith(f"{i}_")
                },
            }
            for i, image in enumerate(images)
        ]

    def point(self, statistics: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the parts' own, side by side, [B, D]."""
        parts = zip(self.parts, self._of_parts(statistics), strict=True)
        return tf.concat([part.point(own) for part, own in parts], -1)

    def from_uniforms(self, params, u: tf.Tensor) -> tf.Tensor | None:
        """Returns x ~ p(x|z), [B, D]; None if a part has no such function."""
        parts = zip(self._each(params), tf.split(u, self.sizes, -1), strict=True)
        columns = [part.from_uniforms(own, noise) for (part, own), noise in parts]
        return None if any(column is None for column in columns) else tf.concat(columns, -1)

    def from_statistics(self, statistics: Mapping[str, tf.Tensor]) -> tfd.Distribution | None:
        """Returns p(x|z), batch [B], event [D]; None if that of a part is None."""
        parts = zip(self.parts, self._of_parts(statistics), strict=True)
        found = [part.from_statistics(own) for part, own in parts]
        return None if any(part is None for part in found) else tfd.Blockwise(found)

    def check_support(self, x: np.ndarray, strict: bool = False) -> None:
        """Refuses rows with a value for which its column's likelihood has no density.

        Raises:
            DataError: there is such a value; the message names its column.
        """
        if x.shape[-1:] != (sum(self.sizes),):
            fix = "Let the counts in `columns` add up to the number of columns."
            raise DataError(f"Mixed takes rows of {sum(self.sizes)}", f"shape {x.shape}", fix)
        kinds = [
            part for part, size in zip(self.parts, self.sizes, strict=True) for _ in range(size)
        ]
        for column, part in enumerate(kinds):
            try:
                part.check_support(x[..., column], strict)
            except DataError as error:
                raise DataError(f"Column {column}, {type(part).__name__}: {error}") from error

    def get_config(self) -> dict:
        """Returns the constructor's arguments, serialized."""
        parts = map(keras.saving.serialize_keras_object, self.parts)
        return {
            **super().get_config(),
            "columns": list(map(list, zip(parts, self.sizes, strict=True))),
        }

    @classmethod
    def from_config(cls, config: dict) -> "Mixed":
        """Returns the likelihood that `get_config` described."""
        restore = keras.saving.deserialize_keras_object
        columns = [(restore(part), size) for part, size in config["columns"]]
        return cls(**{**config, "columns": columns})
