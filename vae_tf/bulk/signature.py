"""What is asked of a bundle, and the SavedModel that answers, one for all threads of a process."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.errors import BulkError, unknown
from vae_tf.exporting import manifest
from vae_tf.signatures.preprocessing import Preprocessing

MADE = ("mask", "seed", "temperature")  # inputs that need not be in the data


@dataclass(frozen=True)
class Signature:
    """A signature of a bundle, described so that any worker can load it.

    Attributes:
        name: the signature's name.
        saved_model: directory of its SavedModel, the same on all workers.
        inputs: the manifest's entries for its inputs.
        outputs: the manifest's entries for its outputs.
        max_rows: the most rows that one call takes; None for any number.
        bundle: `{sha256, fingerprint, version}`; the first is the hash of the manifest, which holds
            those of all other files.
        preprocessing: turns levels of images into the encoder's input.

    Example:
        >>> from vae_tf.bulk import Signature
        >>> Signature.of("no-bundle-here", "encode")
        Traceback (most recent call last):
            ...
        vae_tf.errors.ExportError: ...
    """

    name: str
    saved_model: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    max_rows: int | None
    bundle: Mapping[str, Any]
    preprocessing: Preprocessing

    @classmethod
    def of(cls, directory: str | Path, name: str) -> "Signature":
        """Returns a signature of the bundle in `directory`, whose SavedModel is as published.

        Raises:
            ExportError: there is no bundle.
            BulkError: the bundle has no such signature, or files of the SavedModel were changed.
        """
        directory = Path(directory).absolute()
        facts = manifest.read(directory)
        if name not in facts["signatures"]:
            raise unknown("The signature", name, facts["signatures"], BulkError)
        entry = facts["signatures"][name]
        for file, digest in facts["files"].items():
            if not file.startswith(entry["saved_model"] + "/"):
                continue
            path = directory / file
            if not path.is_file() or manifest.digest(path) != digest:
                received = "another file" if path.exists() else "no file"
                raise BulkError(f"{path} must be as published", received, "Copy the bundle again.")
        known = {key: facts[key] for key in ("fingerprint", "version")}
        whole = hashlib.sha256((directory / manifest.NAME).read_bytes()).hexdigest()
        return cls(
            *(name, str(directory / entry["saved_model"]), entry["inputs"], entry["outputs"]),
            *(entry.get("max_rows"), {"sha256": whole, **known}),
            Preprocessing.of(facts.get("preprocessing"), facts.get("image_dtype", "float32")),
        )

    @property
    def data(self) -> list[str]:
        """The inputs that the data must hold."""
        return [name for name in self.inputs if name not in MADE]

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of one row of an input."""
        return tuple(self.inputs[name]["shape"][1:])


class Model:
    """A SavedModel, read once, and one of its signatures."""

    def __init__(self, signature: Signature):
        self._signature = signature
        self._loaded = tf.saved_model.load(signature.saved_model)  # it goes if nobody holds it
        self._call = self._loaded.signatures[signature.name]

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the outputs [B, ...] by name for one batch of inputs [B, ...].

        Raises:
            BulkError: the signature refuses the batch.
        """
        try:
            answer = self._call(**{name: tf.constant(value) for name, value in inputs.items()})
        except tf.errors.OpError as error:
            first = (str(error).splitlines() or [""])[0]
            expected = f"`{self._signature.name}` must be able to answer the rows"
            raise BulkError(expected, first, "Compare them with the manifest's inputs.") from error
        return {name: answer[name].numpy() for name in self._signature.outputs}
