"""What a profile says to change, each with its reason."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vae_tf.profiling.profile import TrainingProfile

WAITING, OVERHEAD, OPTIMIZER, LOSS = 0.2, 0.2, 0.3, 0.4  # shares of a step that stand out
NETWORKS = 0.3  # the least share of the networks for a faster matmul to matter
BUSY = 2.0  # times that the slowest round takes longer than the fastest
FASTER = 1.5  # times that a bfloat16 matmul must be faster


def _data(p: "TrainingProfile") -> str | None:
    if p.share("data") <= WAITING:
        return None
    return (
        f"{p.share('data'):.0%} of a step is waiting for data: hold them in memory if they fit "
        "(array:FILE.npy, or .cache() on a data set of your own), map in parallel and end in "
        ".prefetch(tf.data.AUTOTUNE)."
    )


def _overhead(p: "TrainingProfile") -> str | None:
    if p.share("overhead") <= OVERHEAD:
        return None
    once = p.steps_per_execution == 1
    also = ", or compile(steps_per_execution=20), which calls Python once for so many" * once
    return (
        f"{p.share('overhead'):.0%} of a step is overhead, which hardly grows with the batch: "
        f"try a larger batch (--batch-size {2 * p.batch_size}){also}."
    )


def _optimizer(p: "TrainingProfile") -> str | None:
    if p.share("optimizer") <= OPTIMIZER:
        return None
    return (
        f"{p.share('optimizer'):.0%} of a step is the optimizer's update, the same work for any "
        f"batch: try a larger batch (--batch-size {2 * p.batch_size}), with a learning rate "
        "to suit."
    )


def _loss(p: "TrainingProfile") -> str | None:
    if p.share("loss") <= LOSS:
        return None
    return (
        f"{p.share('loss'):.0%} of a step is the loss without the networks: try a cheaper prior "
        "(fewer --prior-components, or --prior normal), posterior or likelihood."
    )


def _precision(p: "TrainingProfile") -> str | None:
    faster = p.peaks["bfloat16"] / p.peaks["float32"]
    networks = sum(p.share(name) for name in ("encoder", "decoder", "backward"))
    if p.compute_dtype != "float32" or faster < FASTER or networks < NETWORKS:
        return None
    return (
        f"A large matmul is {faster:.1f} times as fast in bfloat16 here, and the networks compute "
        "in float32: try --precision mixed_bfloat16 "
        '(keras.config.set_dtype_policy("mixed_bfloat16") before the networks are made).'
    )


def _busy(p: "TrainingProfile") -> str | None:
    fastest, slowest = p.step_range
    if slowest < BUSY * fastest:
        return None
    return (
        f"A step took from {fastest:.3g} to {slowest:.3g} ms: something else is using the machine, "
        "and the shares are rough. Profile again when it is idle."
    )


RULES: tuple[Callable[["TrainingProfile"], str | None], ...] = (
    _data,
    _overhead,
    _optimizer,
    _loss,
    _precision,
    _busy,
)


def advise(profile: "TrainingProfile") -> tuple[str, ...]:
    """Returns what the rules say, or that nothing stands out."""
    said = tuple(text for rule in RULES if (text := rule(profile)))
    return said or ("Nothing stands out: the time goes where the arithmetic is.",)
