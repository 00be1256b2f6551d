"""A data set ready to be trained on."""

import functools
import hashlib
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from vae_tf.data.binarization import RULES
from vae_tf.data.mixing import UNKNOWN, few_labels
from vae_tf.data.pixels import RESIZING
from vae_tf.data.source import SPLITS
from vae_tf.data.split import Split
from vae_tf.errors import DataError


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images of one shape in three splits.

    Attributes:
        name: The name given to `load`.
        shape: (H, W, C).
        train: Images for training.
        validation: Images for choosing settings and stopping.
        test: Images for the reported numbers.
        white: The source's pixel value that stands for 1.0.
        binarization: One of `BINARIZATIONS`.
        seed: Seed of carved splits and fixed draws.
        source: A description of what was read.
        resized: Whether the images were resized to `shape`.
        carved: The splits that were drawn from the source's train split.
        label_names: The meanings of integer labels, where they are known.
        skipped: Files that were left out because they cannot be read.
        few_labels: Number of training labels that were kept, and the seed of their choice; None if
            all were kept.
        unit: The word for one example.

    Example:
        >>> data = vae_tf.data.load("digits")
        >>> data.shape, data.num_classes, data.is_binary
        ((8, 8, 1), 10, False)
        >>> data.describe()["preprocessing"]
        'x = value / 255'
    """

    name: str
    shape: tuple[int, int, int]
    train: Split
    validation: Split
    test: Split
    white: int
    binarization: str
    seed: int
    source: str
    resized: bool
    carved: tuple[str, ...]
    label_names: tuple[str, ...] | None = None
    skipped: tuple[str, ...] = ()
    few_labels: tuple[int, int] | None = None
    unit: ClassVar[str] = "image"

    @property
    def is_binary(self) -> bool:
        """Whether all that is fed is 0 or 1."""
        zeros_and_ones = self.white == 1 and self.train.stored.dtype == np.uint8
        return self.binarization != "none" or zeros_and_ones

    def drawn(self) -> "ImageData":
        """Returns the same images, fed as `load` with binarization="dynamic" feeds them."""
        binarize = not self.is_binary
        train, validation, test = (replace(split, binarize=binarize) for split in self._splits())
        return replace(self, binarization="dynamic", train=train, validation=validation, test=test)

    def with_few_labels(self, count: int, seed: int) -> "ImageData":
        """Returns the same images, of which `count` in `train` keep their label.

        Raises:
            DataError: There are fewer labels than `count`, or `count` is below the number of
                classes.
        """
        least = self.num_classes
        labels = few_labels(np.asarray(self.train.labels), least, count, seed)
        return replace(self, train=replace(self.train, labels=labels), few_labels=(count, seed))

    @functools.cached_property
    def num_classes(self) -> int:
        """The number of classes K, where every image has a label 0, 1, ... K - 1.

        Raises:
            DataError: A split without labels, or labels that are something else.
        """
        known = [split.labels for split in self._splits() if split.labels is not None]
        if len(known) < len(SPLITS):
            fix = "Pass a TFDS set with labels, a folder with a subfolder for each class, or a .npz"
            fix += " file with x and y."
            raise DataError(f"`{self.name}` must have a label for every image", "none", fix)
        labels = np.concatenate(known)
        labels = labels[labels != UNKNOWN] if self.few_labels else labels
        if labels.dtype.kind not in "iufb":
            received = f"labels of {labels.dtype}"
        elif np.any(wrong := (labels < 0) | (labels != np.rint(labels))):
            received = f"the label {labels[np.argmax(wrong)]:g}"
        else:
            return max(int(labels.max()) + 1, len(self.label_names or ()))
        fix = "Number the classes, as np.unique(labels, return_inverse=True) does."
        raise DataError(f"Labels of `{self.name}` must be whole numbers from 0", received, fix)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the stored pixels of all splits in order, their shapes and their meaning.

        Dynamic draws are not part of it; static ones are.
        """
        digest = hashlib.sha256()
        for split in self._splits():
            shape = (split.num_examples, *self.shape)
            digest.update(f"{split.name} {shape} {split.stored.dtype} {split.white}\n".encode())
            split.add_to(digest)
        return f"sha256:{digest.hexdigest()}"

    @property
    def labels_fingerprint(self) -> str:
        """SHA-256 over the labels of all splits in order."""
        labels = [np.asarray(split.labels, "<i8").tobytes() for split in self._splits()]
        return f"sha256:{hashlib.sha256(b''.join(labels)).hexdigest()}"

    def describe(self, labels: bool = False) -> dict:
        """Returns a description of the data and their preprocessing, fit for JSON.

        Args:
            labels: whether to describe the labels too.
        """
        height, width, _ = self.shape
        own: dict = {}
        if self.few_labels:
            own["few_labels"] = dict(zip(("count", "seed"), self.few_labels, strict=True))
        if labels:
            own |= {"num_classes": self.num_classes, "labels_fingerprint": self.labels_fingerprint}
        return {
            "name": self.name,
            "source": self.source,
            "shape": list(self.shape),
            "examples": {split.name: split.num_examples for split in self._splits()},
            "splits": {name: self._origin(name) for name in SPLITS},
            "preprocessing": "x = value" if self.white == 1 else f"x = value / {self.white}",
            "scale": 1 / self.white,
            "value_range": [0.0, 1.0],
            "resize": {"height": height, "width": width, "method": RESIZING}
            if self.resized
            else None,
            "binarization": {
                "kind": self.binarization,
                "rule": RULES[self.binarization],
                "seed": None if self.binarization == "none" else self.seed,
            },
            "label_names": None if self.label_names is None else list(self.label_names),
            "fingerprint": self.fingerprint,
            **({"skipped": list(self.skipped)} if self.skipped else {}),
            **own,
        }

    def _origin(self, split: str) -> str:
        if split in self.carved:
            return f"drawn from the source's train split with seed {self.seed}"
        rest = split == "train" and self.carved
        return "the source's own, less what was drawn" if rest else "the source's own"

    def _splits(self) -> tuple[Split, Split, Split]:
        return self.train, self.validation, self.test
