"""LiteRT files of one half in several precisions and batch sizes, made from its SavedModel."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError, unknown
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert.metadata import Order, labelled
from vae_tf.formats.litert.precision import PRECISIONS, Source
from vae_tf.formats.runtimes import saved_model
from vae_tf.quiet import quiet
from vae_tf.signatures.probes import EXTREME_SEEDS

# The signatures LiteRT can have; a half must have the first.
SIGNATURES = {"encoder": ("encode",), "decoder": ("decode", "generate")}
BATCHES = (None, 1, 16)  # None: free
CALIBRATION_BATCH = 16
# Quantized constants of the generator, or of the prior, put z off by far more.
SAME_Z = 2e-6
SEEDS = np.concatenate([EXTREME_SEEDS, np.arange(2, 509)]).astype(np.int32)


def file_name(half: str, precision: str, batch: int | None) -> str:
    """Returns the name of one variant's file."""
    return f"{half}-{precision}{'' if batch is None else f'-batch{batch}'}.tflite"


def make_variants(
    path: Path,
    half: str,
    *,
    precisions: Sequence[str] = PRECISIONS,
    batches: Sequence[int | None] = BATCHES,
    representative: Mapping[str, np.ndarray] | None = None,
    metadata: Mapping[str, Any] | None = None,
    order: Order | None = None,
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Returns file name -> `.tflite` file for each precision and batch, and what is left out, why.

    `encode` or `decode` is in all of them. `generate` is where LiteRT has all it needs and z is
    what the SavedModel makes of the seed: in float32, and in `dynamic` if the prior has no
    weights that were quantized.

    Args:
        path: the SavedModel of the half.
        half: "encoder" or "decoder".
        precisions: float32; float16: weights; dynamic: weights int8, activations quantized as
            they come; int8: both, but inputs, outputs, and what makes statistics out of the
            network's outputs, stay float32.
        batches: sizes of a fixed batch; None for one that is free.
        representative: for int8, input name -> typical values [N, ...]; a hundred or more.
        metadata: what each file is to say of itself, as JSON, besides half, precision, batch
            and the shapes of its signatures.
        order: of the inputs and outputs of each signature; None for the converter's.

    Raises:
        ExportError: an unknown half or precision, or representative data that are none.
    """
    if half not in SIGNATURES:
        raise unknown("half", half, SIGNATURES, ExportError)
    for precision in precisions:
        if precision not in PRECISIONS:
            raise unknown("precision", precision, PRECISIONS, ExportError)
    for batch in batches:
        if batch is not None and (isinstance(batch, bool) or batch < 1):
            fix = "Pass batches=(None, 1, 16)."
            raise ExportError("batches must be None or positive integers", repr(batch), fix)
    with quiet(tf.errors.OpError):
        loaded = tf.saved_model.load(str(path))
    names = [name for name in SIGNATURES[half] if name in loaded.signatures]
    if SIGNATURES[half][0] not in names:
        received, fix = sorted(loaded.signatures), "Name the SavedModel of that half."
        raise ExportError(f"the {half} must have {SIGNATURES[half][0]}", received, fix)
    samples = {}
    if "int8" in precisions:
        samples = _checked(loaded.signatures[names[0]], representative or {})
    others = _others(loaded.signatures["generate"]) if "generate" in names else {}
    drawn = _drawn(path, others) if "generate" in names else np.zeros(0)
    wanted: dict[str, Sequence[str]] = dict.fromkeys(precisions, names)
    wanted["int8"] = names[:1]
    files, left_out = {}, {}
    for batch in batches:
        rows = _rows(samples, batch or CALIBRATION_BATCH)
        with _alone(loaded, names, batch) as alone:
            source = Source(alone, rows)
            lacking = None  # in float32, and so in all
            for precision in sorted(precisions, key=PRECISIONS.index):
                name = file_name(half, precision, batch)
                wanted_z = None if precision == "float32" else drawn
                exact = partial(_draws, batch=batch, z=wanted_z, others=others)
                try:
                    if lacking:
                        raise lacking
                    content, kept = _convert(source, precision, wanted[precision], exact)
                    litert.run(content, kept[0], [_ones(loaded.signatures[kept[0]], batch or 1)])
                except ExportError as error:
                    lacking = error if precision == "float32" else lacking
                    left_out[name] = str(error)
                    continue
                wanted[precision] = kept
                files[name] = labelled(content, half, precision, batch, metadata or {}, order or {})
    return files, left_out


def _convert(
    source: Source, precision: str, names: Sequence[str], exact: Callable[[bytes], bool]
) -> tuple[bytes, Sequence[str]]:
    """Returns a file, and the names of the signatures that can be in it and stay exact."""
    if len(names) > 1:
        with contextlib.suppress(ExportError):
            content = source.file(precision, names)
            if exact(content):
                return content, names
    return source.file(precision, names[:1]), names[:1]


@contextlib.contextmanager
def _alone(loaded: Any, names: Sequence[str], batch: int | None) -> Iterator[Path]:
    """Yields a SavedModel of these signatures of another and no others, at a fixed batch or free.

    The converter reads a SavedModel several times, with all of its signatures.
    """
    with tempfile.TemporaryDirectory() as directory:
        module = tf.Module()
        module.captured = _captured(loaded, names)
        with quiet(tf.errors.OpError):
            functions = {name: _of_batch(loaded.signatures[name], batch) for name in names}
            tf.saved_model.save(module, directory, functions)
        yield Path(directory)


def _captured(loaded: Any, names: Sequence[str]) -> Any:
    """Returns what these signatures hold: their variables, or all there is with a lookup table."""
    signatures = [loaded.signatures[name] for name in names]
    variables = [v for signature in signatures for v in signature.variables]
    handles = {id(v.handle) for v in variables}
    held = [x for signature in signatures for x in signature.captured_inputs]
    tables = any(x.dtype == tf.resource and id(x) not in handles for x in held)
    return loaded if tables else variables


def _of_batch(signature, batch: int | None):
    """Returns a signature of free batch as one of this batch, names kept."""
    _, inputs = signature.structured_input_signature
    specs = {
        name: tf.TensorSpec((batch, *spec.shape[1:]), spec.dtype, name)
        for name, spec in inputs.items()
    }
    return tf.function(lambda **given: signature(**given)).get_concrete_function(**specs)


def _draws(
    content: bytes, batch: int | None, z: np.ndarray | None, others: Mapping[str, tf.TensorSpec]
) -> bool:
    """Returns whether `generate` draws `z` [N, L] for SEEDS; None is anything."""
    if z is None:
        return True
    rows = len(SEEDS) if batch is None else batch
    seeds: np.ndarray = np.resize(SEEDS, (-(-len(SEEDS) // rows), rows))
    received = litert.run(content, "generate", _seeded(seeds, others))
    have = np.concatenate([outputs["z"] for outputs in received])
    return bool(np.abs(have[: len(z)] - z).max() <= SAME_Z)


def _drawn(path: Path, others: Mapping[str, tf.TensorSpec]) -> np.ndarray:
    """Returns the z [N, L] that `generate` of a SavedModel draws for SEEDS."""
    return saved_model.run(path, "generate", _seeded(SEEDS[np.newaxis], others))[0]["z"]


def _ones(signature, rows: int) -> dict[str, np.ndarray]:
    """Returns a batch of ones for a signature."""
    _, inputs = signature.structured_input_signature
    return {
        name: np.ones((rows, *spec.shape[1:]), spec.dtype.as_numpy_dtype)
        for name, spec in inputs.items()
    }


def _others(generate) -> dict[str, tf.TensorSpec]:
    """Returns the inputs that are neither seed nor temperature: a condition."""
    _, inputs = generate.structured_input_signature
    return {name: spec for name, spec in inputs.items() if name not in ("seed", "temperature")}


def _seeded(seeds: np.ndarray, others: Mapping[str, tf.TensorSpec]) -> list[dict[str, np.ndarray]]:
    def ones(spec: tf.TensorSpec, rows: int) -> np.ndarray:
        return np.ones((rows, *spec.shape[1:]), spec.dtype.as_numpy_dtype)

    return [
        {"seed": row, "temperature": np.ones(len(row), np.float32)}
        | {name: ones(spec, len(row)) for name, spec in others.items()}
        for row in seeds
    ]


def _rows(samples: Mapping[str, np.ndarray], size: int) -> list[dict[str, np.ndarray]]:
    """Returns batches of `size`, the last one filled up from the beginning."""
    total = len(next(iter(samples.values()))) if samples else 0
    return [
        {n: np.take(x, range(start, start + size), 0, mode="wrap") for n, x in samples.items()}
        for start in range(0, total, size)
    ]


def _checked(signature, representative: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the representative values of a signature's inputs, or refuses them.

    Raises:
        ExportError: none, of another shape, or not finite; a range taken from a NaN would make
            every output NaN.
    """
    _, inputs = signature.structured_input_signature
    fix = "Pass a hundred or more, from the training set, or leave int8 out of precisions."
    checked = {}
    for name, spec in inputs.items():
        sides = ", ".join(["N", *map(str, spec.shape[1:])])
        wanted = f"int8 needs representative values {{{name!r}: [{sides}]}}"
        if name not in representative:
            raise ExportError(wanted, f"{sorted(representative) or 'none'}", fix)
        values = np.asarray(representative[name], spec.dtype.as_numpy_dtype)
        if values.shape[1:] != tuple(spec.shape[1:]) or not len(values):
            raise ExportError(wanted, f"shape {values.shape}", fix)
        if not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise ExportError(wanted, f"{bad} values not finite", fix)
        checked[name] = values
    return checked
