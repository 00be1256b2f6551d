"""What a bundle is to hold beyond its two halves."""

from dataclasses import dataclass

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
        vectors: names of conditions that are vectors [K] of any numbers. All other conditions
            that networks take as vectors are classes, one-hot, and clients send their number.
    """

    image_dtype: str = "float32"
    whole: bool = False
    importance_samples: int = 64
    false_alarm_rate: float = 0.01
    precisions: tuple[str, ...] = ()
    batches: tuple[int | None, ...] = BATCHES
    onnx: bool = False
    vectors: tuple[str, ...] = ()

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
