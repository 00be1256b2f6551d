"""From images as clients have them to what the encoder takes, within the graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError
from vae_tf.signatures import rows

IMAGE_DTYPES = ("float32", "uint8")
WHITE = 255


@dataclass(frozen=True)
class Preprocessing:
    """What the data were made of, and in which form clients send them.

    Attributes:
        value_range: smallest and largest number the encoder takes; None if nobody said.
        scale: what one level of an 8-bit image adds to x; None if it is not known.
        binarization: "none", "static" or "dynamic": whether the model learned from draws of
            Bernoulli(x) in place of x.
        image_dtype: of the inputs called `image`: "float32" is x itself, "uint8" levels 0..255.
    """

    value_range: tuple[float, float] | None = None
    scale: float | None = None
    binarization: str = "none"
    image_dtype: str = "float32"

    def __post_init__(self):
        if self.image_dtype not in IMAGE_DTYPES:
            fix = f"Pass one of {', '.join(IMAGE_DTYPES)}."
            raise ExportError("image_dtype must be known", repr(self.image_dtype), fix)
        if self.image_dtype == "uint8" and (self.scale is None or self.value_range is None):
            raise ExportError(
                "uint8 images need to be told what their levels mean",
                "a preprocessing without numbers",
                'Pass preprocessing={"scale": 1 / 255, "value_range": [0, 1]}, for example.',
            )

    @classmethod
    def of(
        cls, described: Mapping[str, Any] | None, image_dtype: str = "float32"
    ) -> "Preprocessing":
        """Returns what the manifest's `preprocessing` says; keys it lacks, or has in words, None.

        Data whose `scale` is 1 were numbers in their range already: black is its low end then
        and 255 its high one, as for pictures that `generate_png` makes.
        """
        described = described or {}
        scale, bounds = described.get("scale"), described.get("value_range")
        if not _number(scale):
            scale = None
        if not (isinstance(bounds, Sequence) and len(bounds) == 2 and all(map(_number, bounds))):
            bounds = None if scale is None or scale == 1 else (0.0, WHITE * scale)
        if bounds is not None and scale in (None, 1):
            scale = (bounds[1] - bounds[0]) / WHITE
        binarization = described.get("binarization") or {}
        kind = binarization.get("kind") if isinstance(binarization, Mapping) else binarization
        return cls(
            value_range=None if bounds is None else (float(bounds[0]), float(bounds[1])),
            scale=None if bounds is None else scale,
            binarization=kind or "none",
            image_dtype=image_dtype,
        )

    def values(self, image: tf.Tensor) -> tf.Tensor:
        """Returns x float32 for an input called `image`, of `image_dtype`."""
        return image if self.image_dtype == "float32" else self.of_levels(image)

    def of_levels(self, levels: tf.Tensor) -> tf.Tensor:
        """Returns x float32 for levels 0..255 of any dtype."""
        assert self.scale is not None
        assert self.value_range is not None
        # Divided, as the training data were: a factor of 1 / 255 differs in the last bit.
        x = tf.cast(levels, tf.float32) / (1 / self.scale)
        return x if self.value_range[0] == 0 else x + self.value_range[0]

    def to_levels(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the nearest of the levels 0..255, uint8, for x in the range; the rest clipped."""
        assert self.value_range is not None
        low, high = self.value_range
        unit = tf.clip_by_value((x - low) / (high - low), 0.0, 1.0)
        return tf.cast(tf.round(unit * WHITE), tf.uint8)

    def sent(self, x: np.ndarray) -> np.ndarray:
        """Returns x [N, ...] as clients send it: itself, or levels."""
        return x if self.image_dtype == "float32" else self.to_levels(x).numpy()

    def fit(self, x: tf.Tensor) -> tf.Tensor:
        """Returns which rows of x [B, ...] are finite and in the range, bool [B]."""
        return rows.within(x) if self.value_range is None else rows.within(x, *self.value_range)


AS_IT_IS = Preprocessing()


def _number(value: Any) -> bool:
    """Returns whether a value is a number, and not NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
