"""The codes of images: what a trained encoder says of each, as data of a further model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import tensorflow as tf

from vae_tf.data.image_data import ImageData
from vae_tf.data.split import Split


class CodeSplit(Split):
    """Codes of a split's images, fed as draws z ~ N(mean, scale^2), [B, L], anew each epoch.

    `stored` are means and scales, [N, 2, L] float32.
    """

    def undrawn(self) -> np.ndarray:
        """Returns the means, [N, L]."""
        return self.stored[self.rows, 0]

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.stored.shape[2:]

    def _drawn(self, x: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
        mean, scale = tf.unstack(x, axis=1)
        return mean + scale * tf.random.stateless_normal(tf.shape(mean), at)


@dataclass(frozen=True, eq=False)
class CodeData:
    """The codes of images in three splits.

    Attributes:
        images: whose codes they are.
        shape: (L,).
        train: What training sees.
        validation: What choices are made on.
        test: What is reported.
        origin: What made the codes, for `describe`.
        unit: What one example is called.
    """

    images: ImageData
    shape: tuple[int]
    train: CodeSplit
    validation: CodeSplit
    test: CodeSplit
    origin: str
    unit: ClassVar[str] = "code"

    @classmethod
    def of(
        cls, images: ImageData, encode: Callable[[np.ndarray], np.ndarray], origin: str
    ) -> "CodeData":
        """Returns the codes of images, of the grey values of those that are drawn.

        Args:
            images: in their splits.
            encode: from images to the means and scales of their codes, [N, 2, L].
            origin: the encoder, in words.
        """
        splits = {}
        for split in (images.train, images.validation, images.test):
            codes = encode(split.undrawn())
            rows = np.arange(len(codes))
            splits[split.name] = CodeSplit(
                split.name, codes, rows, split.labels, white=1, binarize=False, seed=split.seed
            )
        return cls(images, codes.shape[2:], **splits, origin=origin)

    @property
    def num_classes(self) -> int:
        """The number of classes of the images."""
        return self.images.num_classes

    def describe(self, labels: bool = False) -> dict:
        """Returns what was done to the data, in words and numbers fit for JSON."""
        own = {"shape": list(self.shape), "codes_of": self.origin}
        kept = (
            *("name", "source", "examples", "splits", "fingerprint", "few_labels"),
            *("num_classes", "labels_fingerprint"),
        )
        of_images = self.images.describe(labels)
        return {key: of_images[key] for key in kept if key in of_images} | own
