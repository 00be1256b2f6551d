"""What a bundle is to hold beyond its two halves."""

from dataclasses import dataclass

from vae_tf.errors import ExportError

IMAGE_DTYPES = ("float32", "uint8")
PRECISIONS = ("float32", "float16", "dynamic", "int8")
BATCHES = (None, 1, 16)  # None: any
WARMED_UP = 16  # rows of the largest request a server sends itself, see `serving.warmup`
SAVED_MODEL = "savedmodel"


@dataclass(frozen=True)
class Options:
    """The contents of a bundle beyond encoder and decoder in float32.

    Attributes:
        image_dtype: dtype of image inputs: float32, as the encoder takes them, or uint8.
        whole: whether to write the third SavedModel, `vae`, of both halves.
        importance_samples: number of draws for each row in `score`, `impute` and `surprisal`.
        false_alarm_rate: rate of false alarms at the threshold on `score`.
        precisions: precisions of the LiteRT files in `litert/`; () for no files.
        batches: batch sizes of these files; None for any.
        onnx: whether to write ONNX files.
        vectors: names of conditions that are vectors [K] of any numbers. All other conditions that
            are vectors are one-hot classes, and clients send the number of the class.
        max_rows: the most rows of a request to a SavedModel, at least 16. If None, the number that
            keeps the largest tensor of a signature below 1 GiB, from 32 to 4096.
        only: "savedmodel" for a bundle without any `.tflite` or ONNX file.

    Example:
        >>> options = vae_tf.exporting.Options(whole=True, precisions=("float32", "float16"))
        >>> options.importance_samples, options.onnx
        (64, False)
    """

    image_dtype: str = "float32"
    whole: bool = False
    importance_samples: int = 64
    false_alarm_rate: float = 0.01
    precisions: tuple[str, ...] = ()
    batches: tuple[int | None, ...] = BATCHES
    onnx: bool = False
    vectors: tuple[str, ...] = ()
    max_rows: int | None = None
    only: str | None = None

    def __post_init__(self) -> None:
        if self.image_dtype not in IMAGE_DTYPES:
            fix = "Pass float32 or uint8."
            raise ExportError(f"image_dtype must be one of {IMAGE_DTYPES}", self.image_dtype, fix)
        if not _positive(self.importance_samples):
            samples = self.importance_samples
            raise ExportError("importance_samples must be a positive integer", samples, "Pass 64.")
        if not 0 < self.false_alarm_rate < 1:
            rate = self.false_alarm_rate
            raise ExportError("false_alarm_rate must be between 0 and 1", rate, "Pass 0.01.")
        strangers = set(self.precisions) - set(PRECISIONS)
        if strangers:
            fix = f"Choose among {PRECISIONS}."
            raise ExportError("precisions must be known", sorted(strangers), fix)
        if not self.batches or not all(size is None or _positive(size) for size in self.batches):
            expected = "batches must be sizes, positive integers, or None for any"
            raise ExportError(expected, self.batches, "Pass batches=(None, 1, 16).")
        if self.max_rows is not None and not _positive(self.max_rows, WARMED_UP):
            fix = "Pass 256, or leave it out."
            raise ExportError(
                f"max_rows must be a whole number, at least {WARMED_UP}", self.max_rows, fix
            )
        for name, needed in (
            *(("importance_samples", "whole"), ("false_alarm_rate", "whole")),
            ("batches", "precisions"),
        ):
            value = getattr(self, name)
            if value != getattr(Options, name) and not getattr(self, needed):
                expected = f"{name} needs {needed}, without which it has no effect"
                raise ExportError(expected, f"{name}={value!r}", "Leave it out, or give both.")
        if self.only not in (None, SAVED_MODEL):
            fix = f"Pass only={SAVED_MODEL!r}, or leave it out."
            raise ExportError(f"only must be {SAVED_MODEL!r}", repr(self.only), fix)
        if self.only and (self.precisions or self.onnx):
            received = f"precisions {self.precisions}" if self.precisions else "onnx=True"
            fix = "Leave out one of them."
            raise ExportError(f"a bundle of only={self.only!r} has no other files", received, fix)


def _positive(value: object, least: int = 1) -> bool:
    """Returns whether a value is a whole number of at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


HALVES = Options()
FULL = Options(whole=True, precisions=PRECISIONS)
