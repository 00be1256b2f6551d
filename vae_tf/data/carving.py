"""Which image belongs to train, validation and test."""

from collections.abc import Mapping

import numpy as np

from vae_tf.data.randomness import CARVING, key, permutation
from vae_tf.data.source import SPLITS
from vae_tf.errors import ConfigError, DataError

DEFAULT_FRACTION = 0.1
# Validation sizes that the literature uses with sets that come without such a split.
_LITERATURE = {"mnist": 10_000, "fashion_mnist": 10_000, "kmnist": 10_000}


def carve(
    name: str,
    sizes: Mapping[str, int],
    validation_fraction: float | None,
    test_fraction: float,
    seed: int,
) -> dict[str, np.ndarray]:
    """Returns the row numbers int64, ascending, that each split takes out of its part.

    A split that the source has is taken whole. Those it has not are drawn from train without
    replacement: fractions of the images in train as the source has it, rounded, at least one.

    Args:
        name: Name of the set, for the sizes of the literature.
        sizes: Images in each part that the source has; always one for "train".
        validation_fraction: None for the literature's number if it has one, else a tenth.
        test_fraction: As its name says.
        seed: The draw is a function of it and of the number of images.

    Raises:
        DataError: There are too few images.
    """
    total = sizes["train"]
    wanted = {
        "test": _share(total, test_fraction),
        "validation": _LITERATURE.get(name.lower().split(":")[0].split("/")[0], 0)
        if validation_fraction is None
        else 0,
    }
    wanted["validation"] = wanted["validation"] or _share(
        total, DEFAULT_FRACTION if validation_fraction is None else validation_fraction
    )
    taken = {split: count for split, count in wanted.items() if split not in sizes}
    if total <= sum(taken.values()):
        raise DataError(
            f"`{name}` must have enough images for train and for {' and '.join(taken)}",
            f"{total} in train, of which {sum(taken.values())} would go elsewhere",
            "Give it more images, or splits of its own.",
        )
    rows = {split: np.arange(count) for split, count in sizes.items()}
    left = permutation(total, key(seed, CARVING)).numpy()
    for split, count in taken.items():
        rows[split], left = np.sort(left[:count]), left[count:]
    rows["train"] = np.sort(left)
    return {split: rows[split] for split in SPLITS}


def _share(total: int, fraction: float) -> int:
    return max(1, round(total * fraction))


def check_fractions(validation_fraction: float | None, test_fraction: float) -> None:
    """Checks what `carve` will be asked for.

    Raises:
        ConfigError: A fraction is none, or together they leave nothing for train.
    """
    validation = DEFAULT_FRACTION if validation_fraction is None else validation_fraction
    for name, value in (("validation_fraction", validation), ("test_fraction", test_fraction)):
        if not 0 < value < 1:
            raise ConfigError(f"`{name}` must lie between 0 and 1", value, "Pass 0.1, for example.")
    if validation + test_fraction >= 1:
        raise ConfigError(
            "`validation_fraction` and `test_fraction` must leave images for train",
            f"{validation} + {test_fraction}",
            "Make their sum less than 1.",
        )
