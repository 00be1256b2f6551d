"""LiteRT files of one half in several precisions and batch sizes, made from the float32 one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.errors import ExportError
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert.fixing import fixed
from vae_tf.formats.litert.metadata import labelled
from vae_tf.formats.litert.precision import PRECISIONS, of_precision
from vae_tf.signatures.endpoint import Endpoint

BATCHES = (None, 1, 16)  # None: free
CALIBRATION_BATCH = 16


def file_name(half: str, precision: str, batch: int | None) -> str:
    """Returns the name of one variant's file."""
    return f"{half}-{precision}{'' if batch is None else f'-batch{batch}'}.tflite"


def make_variants(
    whole: bytes,
    saved_model: Path,
    endpoints: Sequence[Endpoint],
    *,
    precisions: Sequence[str] = PRECISIONS,
    batches: Sequence[int | None] = BATCHES,
    representative: Mapping[str, np.ndarray] | None = None,
    metadata: Mapping[str, Any] | None = None,
    signatures: Mapping[str, Any] | None = None,
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Returns file name -> `.tflite` file for each precision and batch, and what is left out, why.

    All files have all signatures. Only the network of the first is of a lower precision; what
    else there is, a prior and the random numbers of `generate`, stays float32, and so one seed is
    one z in all of them.

    Args:
        whole: the half in float32, of free batch.
        saved_model: the SavedModel of the half.
        endpoints: the signatures in `whole`, the first the one that has the network alone.
        precisions: float32; float16: weights; dynamic: weights int8, activations quantized as
            they come; int8: both, but inputs, outputs, and what makes statistics out of the
            network's outputs, stay float32.
        batches: sizes of a fixed batch; None for one that is free.
        representative: for int8, input name -> typical values [N, ...]; a hundred or more.
        metadata: what each file is to say of itself, as JSON, besides half, precision, batch
            and the shapes of its signatures.
        signatures: the manifest's.
    """
    first, half = endpoints[0], endpoints[0].half
    samples = _batches(representative or {})
    files: dict[str, bytes] = {}
    left_out: dict[str, str] = {}
    ones: dict[str, np.ndarray] = {i.name: np.ones((1, *i.shape), i.dtype) for i in first.inputs}
    told = metadata or {}, signatures or {}
    for precision in sorted(precisions, key=PRECISIONS.index):
        names = {batch: file_name(half, precision, batch) for batch in batches}
        try:
            free = of_precision(precision, whole, saved_model, endpoints, samples)
            litert.run(free, first.name, [ones])
        except ExportError as error:
            left_out |= dict.fromkeys(names.values(), str(error))
            continue
        for batch, name in names.items():
            try:
                model = litert.opened(free) if batch is None else fixed(free, batch)
            except ExportError as error:
                left_out[name] = str(error)
            else:
                files[name] = labelled(model, half, precision, batch, *told)
    return files, left_out


def _batches(samples: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Returns batches for the calibration, the last one filled up from the beginning."""
    total = len(next(iter(samples.values()))) if samples else 0
    rows = [range(start, start + CALIBRATION_BATCH) for start in range(0, total, CALIBRATION_BATCH)]
    return [{n: np.take(x, some, 0, mode="wrap") for n, x in samples.items()} for some in rows]
