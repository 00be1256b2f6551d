"""A model as its signatures see it: parts, the shape of an example, what images are."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.data.batch import Batch, parse
from vae_tf.errors import DataError, ExportError
from vae_tf.models.parts import Parts
from vae_tf.signatures import row_rng, rows
from vae_tf.signatures.conditions import Condition, condition_of
from vae_tf.signatures.endpoint import INPUTS, Input
from vae_tf.signatures.preprocessing import AS_IT_IS, Preprocessing

SOURCES = ("encoder", "decoder", "prior")


@dataclass(frozen=True)
class Halves:
    """Encoder and decoder, with what their numbers mean.

    Networks that take a mask are given one of ones: what comes to a server is complete, and
    `impute` completes it before it encodes it.

    Attributes:
        parts: the model.
        shape: of one example.
        preprocessing: what images are.
        vectors: names of conditions that are vectors; the others of such a shape are classes.
    """

    parts: Parts
    shape: tuple[int, ...]
    preprocessing: Preprocessing = AS_IT_IS
    vectors: tuple[str, ...] = ()

    def __post_init__(self):
        # Of these networks: a prior made of q(z|x) may be a part of several models
        self.parts.bind()

    def condition(self, *of: str) -> Condition:
        """Returns the condition that these of SOURCES take together; of all, if none is named."""
        return condition_of(
            [self._wirings[name] for name in of or SOURCES if name in self._wirings],
            list(self._wirings.values()),
            self.vectors,
        )

    @functools.cached_property
    def _wirings(self) -> dict[str, Any]:
        """Returns which fields of a batch each network takes, by the name of the part."""
        prior = getattr(self.parts.prior, "wiring", None)
        wirings = {"encoder": self.parts.encoder_wiring, "decoder": self.parts.decoder_wiring}
        return wirings if prior is None else {**wirings, "prior": prior}

    def batch(self, x: tf.Tensor, condition: Any = None) -> Batch:
        """Returns data x [B, *shape] and their condition as networks take them."""
        return Batch(x, tf.ones_like(x) if self.masked else None, condition)

    def image(self, scored: bool = False) -> Input:
        """Returns the input of images in the form that `preprocessing` has them.

        Args:
            scored: whether the likelihood is to give them a density.
        """
        dtype, raw = self.preprocessing.image_dtype, self.preprocessing.image_dtype == "uint8"
        return Input(
            *("image", dtype, self.shape),
            words=INPUTS[f"image, {dtype}"],
            bounds=None if raw else self.preprocessing.value_range,
            whole=scored and not raw and bool(self.limits[2].any()),
        )

    def encode(self, x: tf.Tensor, condition: Any = None) -> Any:
        """Returns the posterior's parameters, each [B, ...]."""
        return self.parts.encoded(self.batch(x, condition))

    def decode(self, z: tf.Tensor, condition: Any = None) -> Any:
        """Returns the likelihood's parameters, each [B, ...]."""
        x = tf.ones([tf.shape(z)[0], *self.shape]) if self.masked else None
        return self.parts.decoded(z, Batch(x, x, condition))

    @property
    def masked(self) -> bool:
        """Whether a network takes a mask."""
        wirings = (self.parts.encoder_wiring, self.parts.decoder_wiring)
        return any("mask" in wiring.names for wiring in wirings)

    @property
    def stepwise(self) -> bool:
        """Whether the decoder sees the past of x, so that it makes an example step by step."""
        return "x" in self.parts.decoder_wiring.names

    @functools.cached_property
    def example(self) -> Any:
        """The posterior's parameters for one example of zeros."""
        condition = self.condition("encoder")
        return self.encode(tf.zeros([1, *self.shape]), condition.value(condition.example(1)))

    @property
    def latent(self) -> int:
        """The number of latents."""
        return self.parts.prior.latent_dim

    @property
    def draws(self) -> bool:
        """Whether the posterior makes z of noise."""
        noise = tf.zeros([1, self._drawn])
        return self.parts.posterior.from_noise(self.example, noise) is not None

    @functools.cached_property
    def _drawn(self) -> int:
        """Returns the size L of a draw of the posterior."""
        # As the encoder has it: where the prior has another, that is found by running it. A graph
        # being traced meanwhile is not to keep the example.
        with tf.init_scope():
            return self.parts.posterior.statistics(self.example)["z_mean"].shape[-1]

    def draw(self, params: Any, seed: tf.Tensor) -> tf.Tensor:
        """Returns z ~ q(z|x), [B, L], for parameters and seeds of B rows."""
        return self.parts.posterior.from_noise(params, row_rng.normals(seed, self._drawn))

    @functools.cached_property
    def limits(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Smallest and largest value the likelihood takes, and whether whole numbers alone."""
        likelihood = self.parts.likelihood
        parts = getattr(likelihood, "parts", [likelihood])
        sizes = getattr(likelihood, "sizes", [1])
        columns = [
            _limits(part) for part, size in zip(parts, sizes, strict=True) for _ in range(size)
        ]
        low, high, whole = (
            np.broadcast_to(each, self.shape) for each in zip(*columns, strict=True)
        )
        return low, high, whole

    def fit(self, x: tf.Tensor) -> tf.Tensor:
        """Returns which rows of x [B, *shape] the likelihood gives a density, bool [B]."""
        low, high, whole = self.limits
        axes = list(range(1, x.shape.rank))
        inside = tf.reduce_all((x >= low - rows.TOLERANCE) & (x <= high + rows.TOLERANCE), axes)
        counts = tf.reduce_all(~whole | tf.equal(x, tf.round(x)), axes)
        return self.preprocessing.fit(x) & inside & counts

    def examples(self, data: Any, split: str) -> Batch:
        """Returns examples as arrays: x float32 [N, *shape], the condition as clients send it.

        Args:
            data: x, (x, y) or a dict of fields.
            split: which they are, for messages.

        Raises:
            ExportError: of another shape, none, not finite, with gaps, or without a condition.
        """
        batch = parse(data, "condition")
        x = np.asarray(batch.x, np.float32)
        if x.shape[1:] != self.shape or not len(x):
            sides = ", ".join(map(str, self.shape))
            expected = f"the {split} images must have shape [N, {sides}], N > 0"
            raise ExportError(expected, x.shape, "Pass what the encoder takes.")
        if batch.mask is not None and not np.all(batch.mask):
            expected, fix = f"the {split} images must be complete", "Leave those with gaps out."
            raise ExportError(expected, "a mask with zeros", fix)
        if not np.isfinite(x).all():
            bad, fix = int((~np.isfinite(x)).sum()), "Pass what the encoder takes."
            raise ExportError(f"the {split} images must be finite", f"{bad} values not so", fix)
        condition = self.condition().sent(batch.condition)
        if any(len(values) != len(x) for values in condition.values()):
            expected = f"the {split} images must have a condition each"
            raise ExportError(expected, f"{len(x)} images", "Pass as many.")
        return Batch(x, condition=condition)

    def request(self, examples: Batch, *of: str) -> dict[str, np.ndarray]:
        """Returns what a client sends of `examples`: the image, and the condition of SOURCES."""
        condition: Mapping[str, np.ndarray] = examples.condition
        own = {i.name: condition[i.name] for i in self.condition(*of).inputs}
        return {"image": self.preprocessing.sent(examples.x), **own}


def _limits(likelihood: Any) -> tuple[float, float, bool]:
    """Returns lowest and highest value of the data, and whether they are counts."""
    low, high = likelihood.support
    start = np.clip(0.0, low, high)
    # Values off a grid are scored as the nearest on it.
    counts = _takes(likelihood, start) and not _takes(likelihood, start + 0.5)
    return low, high, counts and not hasattr(likelihood, "grid")


def _takes(likelihood: Any, value: float) -> bool:
    """Returns whether a likelihood has a density at a value."""
    try:
        likelihood.check_support(np.full([1], value, "float32"))
    except DataError:
        return False
    return True
