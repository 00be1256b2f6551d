"""`series:FILE`: arrays [N, T, D] with lengths, in three splits, as a model takes them."""

import os
from pathlib import Path

import numpy as np

from vae_tf.data.carving import DEFAULT_FRACTION, carve, check_fractions
from vae_tf.data.randomness import check_seed
from vae_tf.data.sequences.sequence_data import SequenceData, stored_splits
from vae_tf.data.sequences.series import Series
from vae_tf.data.source import SPLITS
from vae_tf.errors import DataError

KEYS = ("x", "lengths", "mask")


def load_series(
    path: str,
    *,
    seed: int = 0,
    validation_fraction: float | None = None,
    test_fraction: float = DEFAULT_FRACTION,
) -> SequenceData:
    """Returns the series of a file, in three splits; columns are scaled by the training series.

    Args:
        path: of a .npy file of an array [N, T, D], NaN where a number is missing; or of a .npz
            file with such an `x`, and with `lengths` [N] and a `mask` [N, T] or [N, T, D] if
            wanted.
        seed: the same seed draws the same series.
        validation_fraction: part of the series; None for a tenth.
        test_fraction: likewise.

    Raises:
        ConfigError: an argument is out of range.
        DataError: the file cannot be used.
    """
    seed = check_seed(seed)
    check_fractions(validation_fraction, test_fraction)
    fields = _read(os.path.expanduser(path))
    x, lengths, mask = (fields.get(key) for key in KEYS)
    whole = Series.of(x, lengths, mask)  # looks at all of it, and knows the longest
    rows = carve(path, {"train": len(fields["x"])}, validation_fraction, test_fraction, seed)
    train = {name: part[rows["train"]] for name, part in fields.items()}
    form = Series.of(**train, max_length=whole.max_length)
    return SequenceData(
        name=f"series:{path}",
        form=form,
        **stored_splits({"train": form.encode(x, lengths, mask)}, rows, seed),
        seed=seed,
        source=f"NumPy file with {', '.join(fields)}",
        carved=SPLITS,
        told={"columns": len(form.loc), "preprocessing": "as series.json says"},
        unit="sequence",
    )


def _read(path: str) -> dict[str, np.ndarray]:
    if not Path(path).is_file():
        raise DataError("`series:FILE` must name a file", repr(path), "Check the path.")
    try:
        with open(path, "rb") as file:
            read = np.load(file, allow_pickle=False)
            found = {"x": read} if isinstance(read, np.ndarray) else {k: read[k] for k in read}
    except Exception as error:  # zipfile, zlib, tokenize and NumPy each have their own
        received = f"{path}: {' '.join(str(error).split()) or type(error).__name__}"
        fix = "Write it with np.save or np.savez from arrays of numbers."
        raise DataError("A NumPy file must be readable without pickle", received, fix) from None
    unknown = sorted(set(found) - set(KEYS))
    if unknown or "x" not in found:
        fix = f"Write np.savez(path, x=..., lengths=...); the keys are {', '.join(KEYS)}."
        raise DataError("A file of series must have the key x", f"the keys {sorted(found)}", fix)
    return found
