"""Settings that suit the data, where `auto` leaves them open.

What follows from the kind of the data, such as the likelihood, the kind says: `Kind.chosen`. What
follows from their number is here. From `MANY` training examples on, batches and weight decay are
those that were measured on binarized MNIST; below, batches shrink so that an epoch keeps about
`STEPS` steps, and weights decay less. The step size rises over `WARMUP_STEPS` at least. Adam's
first steps move all weights by the same amount, and what a large layer puts out by the sum of them:
with full steps, the log-variances of codes of photographs passed 20 within five steps.
"""

import dataclasses
from typing import Any

from vae_tf.runs.config import TrainConfig
from vae_tf.runs.kind import Kind

MANY = 10_000  # training examples
STEPS = 40  # an epoch, of few examples
BATCH, SMALLEST_BATCH = 250, 32
LEARNING_RATE = 2e-3
WARMUP_STEPS = 200
DECAY, DECAY_OF_FEW = 0.2, 0.02
COMPONENTS, EXAMPLES_A_COMPONENT = 500, 30
EPOCHS, MOST_EPOCHS = 150, 1_000
MOST_STEPS = 100_000  # of a whole training
LEAST_PATIENCE = 20


def suited(config: TrainConfig, kind: Kind) -> tuple[TrainConfig, str]:
    """Returns the settings without any `auto` that the data decide, and what was chosen and why.

    Args:
        config: the settings asked for.
        kind: the data of these settings.
    """
    number = kind.data.train.num_examples
    few = f"for {number:,} training {kind.data.unit}s"
    chosen = dict(kind.chosen(config))

    def choose(name: str, value: Any) -> None:
        if getattr(config, name) == "auto":
            chosen[name] = (value, few)

    many = number >= MANY
    choose("batch_size", BATCH if many else max(SMALLEST_BATCH, min(BATCH, number // STEPS)))
    batch = chosen["batch_size"][0] if "batch_size" in chosen else config.number("batch_size")
    choose("weight_decay", DECAY if many else DECAY_OF_FEW)
    if config.prior_name in ("mixture", "vamp"):
        choose("prior_components", COMPONENTS if many else max(1, number // EXAMPLES_A_COMPONENT))
    steps = -(-number // batch)
    choose("epochs", _epochs(steps, kind.least_steps))
    epochs = chosen["epochs"][0] if "epochs" in chosen else config.number("epochs")
    choose("patience", max(LEAST_PATIENCE, epochs // 3))
    choose("lr_warmup_epochs", -(-WARMUP_STEPS // steps))
    values = {name: value for name, (value, _) in chosen.items()}
    return dataclasses.replace(config, **values), _sentence(chosen)


def _epochs(steps: int, least: int) -> int:
    """Returns the epochs of so many steps in which a training has `least`, and not very many."""
    return max(1, min(max(EPOCHS, least // steps), MOST_EPOCHS, MOST_STEPS // steps))


def _sentence(chosen) -> str:
    """Returns flags and reasons, those of one reason together."""
    flags: dict[str, list[str]] = {}
    for name, (value, reason) in chosen.items():
        values = value if isinstance(value, tuple) else (value,)
        shown = " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
        flags.setdefault(reason, []).append(f"--{name.replace('_', '-')} {shown}")
    return "; ".join(f"{' '.join(group)} {reason}" for reason, group in flags.items())
