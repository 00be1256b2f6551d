"""A step's time by part, its arithmetic, and the table of both."""

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from vae_tf.profiling.advice import advise

WIDTH = 100
PARTS = {
    "data": "waiting for a batch",
    "encoder": "its forward pass",
    "decoder": "its forward pass",
    "loss": "forward pass of draws, prior and likelihood",
    "backward": "gradients of all of these",
    "optimizer": "the update of the weights",
    "overhead": "metrics, dispatch and Python",
}


@dataclass(frozen=True)
class TrainingProfile:
    """Milliseconds of each part of a training step; `str` gives their table.

    The parts add up to `step`. Pieces that take longer apart than together, since together they
    share the cores, are scaled down to fit.

    Attributes:
        data: time of `fit` beyond its time with a batch held in memory; in each round at most the
            time of a batch alone.
        encoder: forward pass of the encoder.
        decoder: forward pass of the decoder.
        loss: forward pass of all else: draws, prior, posterior, likelihood, penalties.
        backward: the gradients.
        optimizer: the update of the weights.
        overhead: the rest of a step: metrics, TensorFlow's dispatch, Python.
        step: a step of `fit`, median over the rounds.
        step_range: a step of the fastest and of the slowest round.
        data_alone: a batch from the data set while nothing else runs; None if the data are no
            `tf.data.Dataset`.
        batch_size: number of examples of a step.
        steps_per_execution: as compiled, or as `fit` chose.
        compute_dtype: dtype in which the networks compute.
        gflop: operations of matmuls and convolutions in a step, in 1e9.
        peaks: GFLOP/s of a large matmul here, by dtype.
        rounds: number of rounds.
        trace: directory of the trace, if one was written.

    Example:
        >>> parts = dict.fromkeys(vae_tf.profiling.PARTS, 1.0)  # milliseconds
        >>> profile = vae_tf.profiling.TrainingProfile(
        ...     **parts,
        ...     step=7.0,
        ...     step_range=(6.5, 7.5),
        ...     data_alone=None,
        ...     batch_size=140,
        ...     steps_per_execution=1,
        ...     compute_dtype="float32",
        ...     gflop=0.7,
        ...     peaks={"float32": 200.0},
        ...     rounds=3,
        ... )
        >>> round(profile.examples_per_second), round(profile.share_of_peak, 3)
        (20000, 0.5)
    """

    data: float
    encoder: float
    decoder: float
    loss: float
    backward: float
    optimizer: float
    overhead: float
    step: float
    step_range: tuple[float, float]
    data_alone: float | None
    batch_size: int
    steps_per_execution: int
    compute_dtype: str
    gflop: float
    peaks: Mapping[str, float]
    rounds: int
    trace: str | None = None

    @property
    def parts(self) -> dict[str, float]:
        """Milliseconds by part, in the order of a step."""
        return {name: getattr(self, name) for name in PARTS}

    @property
    def examples_per_second(self) -> float:
        """Examples per second in `fit`."""
        return 1e3 * self.batch_size / self.step

    @property
    def gflops(self) -> float:
        """GFLOP/s of matmuls and convolutions over the whole step."""
        return 1e3 * self.gflop / self.step

    @property
    def share_of_peak(self) -> float:
        """The share of the matmul peak in `compute_dtype` that a step reaches."""
        return self.gflops / self.peaks[self.compute_dtype]

    @property
    def advice(self) -> tuple[str, ...]:
        """Advice on what to change, and why, or a sentence that nothing stands out."""
        return advise(self)

    def share(self, part: str) -> float:
        """Returns the share of a part in the time of a step."""
        return self.parts[part] / self.step

    def facts(self) -> tuple[str, ...]:
        """Returns sentences about the arithmetic of a step."""
        low, high = self.step_range
        peaks = ", ".join(f"{peak:,.0f} in {dtype}" for dtype, peak in self.peaks.items())
        facts = [
            f"{self.examples_per_second:,.0f} examples/s; {self.rounds} rounds, a step "
            f"{low:.3g} to {high:.3g} ms; {self.steps_per_execution} steps an execution",
            f"{self.gflop:.3g} GFLOP a step in matmuls and convolutions: {self.gflops:,.0f} "
            f"GFLOP/s, {self.share_of_peak:.0%} of a large {self.compute_dtype} matmul's",
            f"a large matmul here, GFLOP/s: {peaks}",
        ]
        if self.data_alone is not None:
            facts.append(f"a batch from the data set alone takes {self.data_alone:.3g} ms")
        return tuple(facts)

    def as_dict(self) -> dict:
        """Returns all fields and derived numbers, fit for JSON."""
        derived = {
            "examples_per_second": self.examples_per_second,
            "gflops": self.gflops,
            "share_of_peak": self.share_of_peak,
            "advice": list(self.advice),
        }
        return {**asdict(self), "step_range": list(self.step_range), **derived}

    def __str__(self) -> str:
        rows = [
            f"{name:<11}{time:>9.3f} ms {self.share(name):>5.0%}  {PARTS[name]}"
            for name, time in self.parts.items()
        ]
        step = f"{'step':<11}{self.step:>9.3f} ms       batch size {self.batch_size}"
        words = [
            line
            for text in (*self.facts(), *self.advice)
            for line in textwrap.wrap(
                # flags are copied from here: they must not be broken at their hyphens
                f"- {text}",
                WIDTH,
                subsequent_indent="  ",
                break_on_hyphens=False,
            )
        ]
        return "\n".join([*rows, step, *words])
