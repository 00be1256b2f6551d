"""What a bundle is to hold beyond its two halves."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vae_tf.errors import ExportError

IMAGE_DTYPES = ("float32", "uint8")
PRECISIONS = ("float32", "float16", "dynamic", "int8")
BATCHES = (None, 1, 16)  # None: any


@dataclass(frozen=True)
class Options:
    """What a bundle is to hold beyond encoder and decoder in float32.

    Attributes:
        image_dtype: of image inputs: float32, as the encoder takes them, or uint8.
        whole: whether to write the third SavedModel, `vae`.
        importance_samples: of `score` and `impute`, for each row.
        false_alarm_rate: of the threshold on `score`.
        precisions: of the LiteRT files below `litert/`; none leaves them out.
        batches: theirs.
        onnx: whether to write ONNX files.
    """

    image_dtype: str = "float32"
    whole: bool = False
    importance_samples: int = 64
    false_alarm_rate: float = 0.01
    precisions: tuple[str, ...] = ()
    batches: tuple[int | None, ...] = BATCHES
    onnx: bool = False

    def __post_init__(self) -> None:
        if self.image_dtype not in IMAGE_DTYPES:
            fix = "Pass float32 or uint8."
            raise ExportError(f"image_dtype must be one of {IMAGE_DTYPES}", self.image_dtype, fix)
        if self.importance_samples < 1:
            samples = self.importance_samples
            raise ExportError("importance_samples must be positive", samples, "Pass 64.")
        if not 0 < self.false_alarm_rate < 1:
            rate = self.false_alarm_rate
            raise ExportError("false_alarm_rate must be between 0 and 1", rate, "Pass 0.01.")
        strangers = set(self.precisions) - set(PRECISIONS)
        if strangers:
            fix = f"Choose among {PRECISIONS}."
            raise ExportError("precisions must be known", sorted(strangers), fix)


HALVES = Options()
FULL = Options(whole=True, precisions=PRECISIONS)


def checked_images(images: Mapping[str, np.ndarray] | None, shape: tuple[int, ...]):
    """Returns `images` as float32 arrays [N, *shape], by split.

    Raises:
        ExportError: of another shape, empty, or not finite.
    """
    result = {}
    for split, values in (images or {}).items():
        array = np.asarray(values, np.float32)
        if array.shape[1:] != shape or not len(array):
            sides = ", ".join(map(str, shape))
            expected = f"the {split} images must have shape [N, {sides}], N > 0"
            raise ExportError(expected, array.shape, "Pass what the encoder takes.")
        if not np.isfinite(array).all():
            bad = int((~np.isfinite(array)).sum())
            fix = "Pass what the encoder takes."
            raise ExportError(f"the {split} images must be finite", f"{bad} values not so", fix)
        result[split] = array
    return result
