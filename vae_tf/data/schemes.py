"""What a path must begin with: `folder:`, `array:` or `table:`."""

from pathlib import Path

from vae_tf.errors import DataError

_ENDINGS = {
    **dict.fromkeys((".npy", ".npz"), "array"),
    **dict.fromkeys((".csv", ".tsv", ".pq"), "table"),
    ".parquet": "table",
}


def bare_path(name: str) -> DataError | None:
    """Returns the refusal of a path without its scheme, None if the name looks like none."""
    path = Path(name).expanduser()
    scheme = "folder" if path.is_dir() else _ENDINGS.get(path.suffix.lower())
    if scheme is None:
        return None
    return DataError("A path must say what it is", repr(name), f"Pass '{scheme}:{name}'.")
