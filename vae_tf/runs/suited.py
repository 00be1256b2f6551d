"""Settings that suit the data, where `auto` leaves them open.

| the data                                                       | likelihood       |
|----------------------------------------------------------------|------------------|
| 0 and 1, or drawn so                                           | bernoulli        |
| at most `MOST_GREY` of the values between black and white      | bernoulli, drawn |
| more of them                                                   | gaussian-learned |

MNIST has 11 % of its values between, scikit-learn's digits 42 %, Fashion-MNIST 46 %. From `MANY`
training examples on, batches and weight decay are those that were measured on binarized MNIST;
below, batches shrink so that an epoch keeps about `STEPS` steps, and nothing decays.
"""

import dataclasses

import numpy as np

from vae_tf.data import ImageData
from vae_tf.data.tables.table_data import TableData
from vae_tf.runs.config import TrainConfig

BLACK, WHITE = 0.02, 0.98
MOST_GREY = 0.25
LOOKED_AT = 1000  # training images
MANY, STEPS = 10_000, 40
BATCH, SMALLEST_BATCH = 250, 32
DECAY = 0.2


def grey_share(images: ImageData) -> float:
    """Returns the share of pixels whose stored value lies between black and white."""
    train = images.train
    some = train.stored[train.rows[:LOOKED_AT]] / train.white
    return float(np.mean((some > BLACK) & (some < WHITE)))


def suited(config: TrainConfig, images: ImageData | TableData) -> tuple[TrainConfig, str]:
    """Returns the settings without any `auto` that the data decide, and what was chosen and why.

    Args:
        config: the settings asked for.
        images: as `load_data` gives them for these settings; the likelihood of a table is that of
            its columns' kinds.
    """
    number = images.train.num_examples
    few = f"{number:,} training {images.unit}s"
    chosen: dict[str, object] = {}
    reasons = []
    if config.likelihood == "auto" and isinstance(images, ImageData):
        chosen["likelihood"] = "bernoulli" if images.is_binary else "gaussian-learned"
        share = f"{grey_share(images):.0%} of the pixels are between black and white"
        reasons.append(f"--likelihood {chosen['likelihood']} as {share}")
    if config.batch_size == "auto":
        batch = BATCH if number >= MANY else max(SMALLEST_BATCH, min(BATCH, number // STEPS))
        chosen["batch_size"] = batch
        reasons.append(f"--batch-size {batch} for {few}")
    if config.weight_decay == "auto":
        chosen["weight_decay"] = DECAY if number >= MANY else 0.0
        reasons.append(f"--weight-decay {chosen['weight_decay']:g} for {few}")
    return dataclasses.replace(config, **chosen), "; ".join(reasons)  # type: ignore[arg-type]


def caution(config: TrainConfig, images: ImageData | TableData) -> str:
    """Returns what is to be said of a likelihood that was asked for; nothing if all is well."""
    asked = config.likelihood == "bernoulli" and config.binarization == "auto"
    if not asked or isinstance(images, TableData):
        return ""
    if (share := grey_share(images)) <= MOST_GREY:
        return ""
    return (
        f"{share:.0%} of the pixels are between black and white, and --likelihood bernoulli draws "
        "each of them as one or the other; --likelihood gaussian-learned keeps them grey"
    )
