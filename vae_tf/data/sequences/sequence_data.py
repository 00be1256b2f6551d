"""Sequences in three splits, as a run takes them: what texts and series share."""

import functools
import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vae_tf.data.source import SPLITS
from vae_tf.data.split import Split
from vae_tf.errors import DataError


@dataclass(frozen=True, eq=False)
class SequenceData:
    """Texts or series in three splits; it answers what `ImageData` does.

    Attributes:
        name: as given to the loader.
        form: how they became numbers, a `Texts` or a `Series`.
        train: what training sees.
        validation: what choices are made on.
        test: what is reported.
        seed: of splits that were drawn.
        source: what was read, in words.
        carved: the splits that were drawn from the training examples.
        told: more to say of the data, fit for JSON.
        unit: what one example is called.
        skipped: files that were left out; sequences are one file, which is read or not.
    """

    name: str
    form: Any
    train: Split
    validation: Split
    test: Split
    seed: int
    source: str
    carved: tuple[str, ...]
    told: dict[str, Any]
    unit: str
    skipped: ClassVar[tuple[str, ...]] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example, (T,) or (T, D)."""
        return self.form.shape

    @property
    def num_classes(self) -> int:
        """Raises DataError: the sequences of a run have no labels."""
        fix = "Drop --condition label."
        raise DataError("Labels belong to images", f"the sequences `{self.name}`", fix)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the numbers of all splits, their masks, and what the numbers mean."""
        digest = hashlib.sha256(json.dumps(self.form.get_config()).encode())
        for split in (self.train, self.validation, self.test):
            digest.update(f"{split.name} {split.num_examples}\n".encode())
            split.add_to(digest)
        return f"sha256:{digest.hexdigest()}"

    def describe(self, labels: bool = False) -> dict[str, Any]:
        """Returns what was done to the data, in words and numbers fit for JSON.

        Args:
            labels: whether the labels matter, of which there are none.
        """
        splits = (self.train, self.validation, self.test)
        drawn = f"drawn from the training {self.unit}s with seed {self.seed}"
        return {
            "name": self.name,
            "source": self.source,
            "shape": list(self.shape),
            "examples": {split.name: split.num_examples for split in splits},
            "splits": {name: drawn if name in self.carved else "given" for name in SPLITS},
            **self.told,
            "fingerprint": self.fingerprint,
        }


def stored_splits(
    arrays: dict[str, dict[str, np.ndarray]], rows: dict[str, np.ndarray], seed: int
) -> dict[str, Split]:
    """Returns the splits of encoded examples.

    Args:
        arrays: {"x", "mask"} of each part that was read, by its name; "train" is always there.
        rows: which of the examples of its part, or else of "train", belong to each split.
        seed: of the splits.
    """
    masks = {name: np.asarray(part["mask"], bool) for name, part in arrays.items()}
    return {
        name: Split(
            name,
            arrays[part]["x"],
            rows[name],
            labels=None,
            white=1,
            binarize=False,
            seed=seed,
            observed=masks[part],
        )
        for name, part in ((name, name if name in arrays else "train") for name in SPLITS)
    }
