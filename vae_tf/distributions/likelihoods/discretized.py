"""p(x|z) for images of so many grey levels: probability masses, in nats per image."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import whole
from vae_tf.distributions.base import named_parameters
from vae_tf.distributions.bounds import MAX_LOGIT, bounded
from vae_tf.distributions.likelihoods.alphabets import Levels
from vae_tf.distributions.likelihoods.base import Likelihood, event_rank
from vae_tf.distributions.likelihoods.grid import Grid
from vae_tf.distributions.likelihoods.logistic_mass import ColourMass, LogisticMass, in_levels


@keras.saving.register_keras_serializable(package="vae_tf")
class DiscretizedLogistic(Likelihood):
    """p(x|z) = prod_i P(x_i), a logistic variable rounded to levels (Kingma et al. 2016, App. A).

    P(x) = s((x + step/2 - loc) / scale) - s((x - step/2 - loc) / scale), s the logistic
    function; the lowest and highest level take the tails, so that P sums to one. Parameters are
    in the data's units. Scales are kept above a sixteenth of a step, and all within a hundred
    times the data's range.

    Args:
        levels: number of values that the data can take; 256 for 8-bit images.
        low: the lowest of them.
        high: the highest.

    Raises:
        ConfigError: fewer than two levels, or `high` not above `low`.

    Example:
        >>> likelihood = vae_tf.likelihoods.DiscretizedLogistic(levels=2)
        >>> params = {"loc": tf.fill([1, 3], 0.5), "log_scale": tf.zeros([1, 3])}
        >>> likelihood.log_prob(params, tf.ones([1, 3])).numpy().round(3)  # -3 ln 2
        array([-2.079], dtype=float32)
    """

    parameters: tuple[str, ...] = ("loc", "log_scale")
    discrete = True

    def __init__(self, levels: int = 256, low: float = 0.0, high: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.grid = Grid(levels, low, high)
        self.support = self.grid.support

    def distribution(self, params) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event]."""
        values = named_parameters(params, self.parameters, type(self).__name__)
        mass = LogisticMass(values["loc"], values["log_scale"], self.grid)
        return tfd.Independent(mass, event_rank(values["loc"]))

    def allowed(self, x: tf.Tensor) -> tf.Tensor:
        """Returns whether each `x` is on the grid, but for float32 rounding; bool of its shape."""
        return super().allowed(x) & self.grid.holds(x)

    def alphabet(self, event_shape) -> Levels | None:
        """Returns the levels."""

        def of_levels(params):
            values = named_parameters(params, self.parameters, type(self).__name__)
            loc, scale = in_levels(values["loc"], values["log_scale"], self.grid)
            parts = {"loc": loc, "scale": scale, "weights": tf.ones_like(loc)}
            return {name: value[..., tf.newaxis] for name, value in parts.items()}

        return Levels(self.grid, of_levels)

    def check_support(self, x: np.ndarray, strict: bool = False) -> None:
        """Refuses values off the grid; float32 rounding is forgiven."""
        super().check_support(x, strict)
        self.grid.check(x)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        grid = {"levels": self.grid.levels, "low": self.grid.low, "high": self.grid.high}
        return {**super().get_config(), **grid}


@keras.saving.register_keras_serializable(package="vae_tf")
class DiscretizedLogisticMixture(DiscretizedLogistic):
    """p(x|z) = prod_pixels sum_k w_k prod_channels P_k(x) (Salimans et al. 2017, PixelCNN++).

    In images [H, W, C] the channels of a pixel share one choice of k. If there are three, green
    depends on red, and blue on both: their locations are shifted by tanh(coefficients) times the
    colours before them. Data of other rank have a mixture for each element.

    Decoder outputs, K components, flat so that a convolution can give them:

    =========  ============  ==============  ==============
    data       logits        loc, log_scale  coefficients
    =========  ============  ==============  ==============
    [H, W, 3]  [H, W, K]     [H, W, K * 3]   [H, W, K * 3]
    [H, W, C]  [H, W, K]     [H, W, K * C]   none
    [..., D]   [..., D * K]  [..., D * K]    none
    =========  ============  ==============  ==============

    The mean of green and blue is taken at the means of the colours before them: exact, but for
    what the grid's ends cut off.

    Args:
        components: K.
        levels: number of values that the data can take; 256 for 8-bit images.
        low: the lowest of them.
        high: the highest.

    Raises:
        ConfigError: no components, fewer than two levels, or `high` not above `low`.

    Example:
        >>> likelihood = vae_tf.likelihoods.DiscretizedLogisticMixture(components=5)
        >>> for name, shape in likelihood.parameter_shapes((32, 32, 3)).items():
        ...     print(name, shape)
        logits (32, 32, 5)
        loc (32, 32, 15)
        log_scale (32, 32, 15)
        coefficients (32, 32, 15)
    """

    parameters = ("logits", "loc", "log_scale")

    def __init__(
        self,
        components: int = 5,
        levels: int = 256,
        low: float = 0.0,
        high: float = 1.0,
        **kwargs,
    ):
        super().__init__(levels, low, high, **kwargs)
        self.components = whole("components", components)

    def parameter_shapes(self, event_shape) -> dict[str, tuple[int, ...]]:
        """Returns the shape, without batch, of each decoder output for data of `event_shape`."""
        *outer, last = event_shape
        image = len(event_shape) == 3
        each = (*outer, self.components * last)
        shapes = {"logits": (*outer, self.components) if image else each}
        shapes |= {"loc": each, "log_scale": each}
        return shapes | ({"coefficients": each} if image and last == 3 else {})

    def distribution(self, params) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event]."""
        values = self._values(params)
        image = values["loc"].shape.rank == 4
        logits = values["logits"] if image else self._split(values["logits"])
        weights = tfd.Categorical(bounded(logits, -MAX_LOGIT, MAX_LOGIT))
        parts = {name: self._split(values[name]) for name in values if name != "logits"}
        if "coefficients" in parts:
            parts["coefficients"] = tf.tanh(parts["coefficients"])
            masses = ColourMass(**parts, grid=self.grid)
        else:
            masses = LogisticMass(**parts, grid=self.grid)
            masses = tfd.Independent(masses, 1) if image else masses
        elements = tfd.MixtureSameFamily(weights, masses)
        return tfd.Independent(elements, 2 if image else event_rank(values["loc"]))

    def alphabet(self, event_shape) -> Levels | None:
        """Returns the levels; None for colours, which share the choice of a component."""
        if len(event_shape) == 3 and event_shape[-1] != 1:
            return None

        def of_levels(params):
            values = self._values(params)
            if len(event_shape) != 3:  # grey images have one channel, and [B, H, W, K] already
                values = {name: self._split(value) for name, value in values.items()}
            loc, scale = in_levels(values["loc"], values["log_scale"], self.grid)
            logits = bounded(values["logits"], -MAX_LOGIT, MAX_LOGIT)
            return {"loc": loc, "scale": scale, "weights": tf.nn.softmax(logits)}

        return Levels(self.grid, of_levels)

    def _values(self, params) -> dict[str, tf.Tensor]:
        """Returns the decoder's outputs by name, with coefficients if the data have colours."""
        several = isinstance(params, (Mapping, list, tuple))
        names = self._names(several and len(params) > len(self.parameters))
        values = named_parameters(params, names, type(self).__name__)
        loc = values["loc"]
        coloured = loc.shape.rank == 4 and loc.shape[-1] == 3 * self.components
        return named_parameters(params, self._names(coloured), type(self).__name__)

    def _names(self, coloured: bool) -> tuple[str, ...]:
        return (*self.parameters, "coefficients") if coloured else self.parameters

    def _split(self, flat: tf.Tensor) -> tf.Tensor:
        """Returns [B, H, W, K * C] as [B, H, W, K, C], and other [..., D * K] as [..., D, K]."""
        *outer, last = flat.shape[1:]
        image = len(outer) == 2
        each = (self.components, last // self.components)
        return tf.reshape(flat, [-1, *outer, *(each if image else each[::-1])])

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "components": self.components}
