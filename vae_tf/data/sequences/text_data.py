"""`text:FILE`: one text a line, in three splits, as a model takes them."""

import os
from pathlib import Path

from vae_tf.data.carving import DEFAULT_FRACTION, carve, check_fractions
from vae_tf.data.randomness import check_seed
from vae_tf.data.sequences.sequence_data import SequenceData, stored_splits
from vae_tf.data.sequences.texts import Texts
from vae_tf.data.sequences.vocabulary import Bytes, Vocabulary, Words
from vae_tf.data.source import SPLITS
from vae_tf.errors import DataError, unknown

SHAKESPEARE = "tiny_shakespeare"


def load_text(
    path: str,
    *,
    tokens: str | Vocabulary = "bytes",
    max_length: int | None = None,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    validation_fraction: float | None = None,
    test_fraction: float = DEFAULT_FRACTION,
) -> SequenceData:
    """Returns the lines of a file in UTF-8, in three splits; empty lines are left out.

    A vocabulary of words is that of the training lines; other words become one, `<unk>`.

    Args:
        path: of the file; or `tiny_shakespeare` for the set of TFDS, with its own splits.
        tokens: "bytes", "words", or a vocabulary.
        max_length: T; None for the longest line of all splits.
        seed: the same seed draws the same lines.
        data_dir: where TFDS keeps prepared sets; None for TFDS_DATA_DIR, else TFDS's default.
        validation_fraction: part of the lines; None for a tenth.
        test_fraction: likewise.

    Raises:
        ConfigError: an argument is out of range.
        DataError: the file cannot be used.
    """
    seed = check_seed(seed)
    check_fractions(validation_fraction, test_fraction)
    if isinstance(tokens, str) and tokens not in (Bytes.name, Words.name):
        raise unknown("`tokens`", tokens, (Bytes.name, Words.name))
    if path == SHAKESPEARE and not Path(path).exists():
        parts, source = _shakespeare(data_dir)
    else:
        parts, source = {"train": _lines(os.path.expanduser(path))}, "text file, a line each"
    lines = {name: [line for line in part if line.strip()] for name, part in parts.items()}
    sizes = {name: len(part) for name, part in lines.items()}
    rows = carve(path, sizes, validation_fraction, test_fraction, seed)
    train = [lines["train"][row] for row in rows["train"]]
    everything = [line for part in lines.values() for line in part]
    if tokens == Words.name:
        tokens = Words.of(train)
    form = Texts.of(everything, tokens, max_length)
    vocabulary = form.vocabulary
    told = {
        "tokens": vocabulary.name,
        "vocabulary": vocabulary.size,
        "unit": vocabulary.unit,
        "empty_lines": sum(map(len, parts.values())) - len(everything),
        "preprocessing": "as vocabulary.json says",
    }
    return SequenceData(
        name=f"text:{path}",
        form=form,
        **stored_splits({name: form.encode(part) for name, part in lines.items()}, rows, seed),
        seed=seed,
        source=source,
        carved=tuple(split for split in SPLITS if split not in lines),
        told=told,
        unit="line",
    )


def _lines(path: str) -> list[str]:
    if not Path(path).is_file():
        fix = f"Check the path, or pass {SHAKESPEARE}."
        raise DataError("`text:FILE` must name a file", repr(path), fix)
    found = []
    for number, line in enumerate(Path(path).read_bytes().splitlines(), 1):
        try:
            found.append(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            fix = "Save it as UTF-8: iconv -f latin1 -t utf-8 FILE."
            received = f"{path}: the byte 0x{error.object[error.start]:02x} in line {number}"
            raise DataError("A file of texts must be UTF-8", received, fix) from None
    return found


def _shakespeare(data_dir) -> tuple[dict[str, list[str]], str]:
    """Returns the lines of each split of the set, and what it is."""
    # Here, as importing TFDS takes time and files do not need it
    from vae_tf.data.tfds_builders import find_builder, prepare

    builder = find_builder(SHAKESPEARE, data_dir)
    prepare(builder)
    parts = {}
    for split in SPLITS:
        (example,) = builder.as_dataset(split=split).as_numpy_iterator()
        parts[split] = example["text"].decode("utf-8").splitlines()
    return parts, f"TFDS {builder.name} {builder.version}, the lines"
