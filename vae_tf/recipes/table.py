"""What train.py does with a table unless told otherwise: rows are small, and often few."""

from vae_tf.runs.config import TrainConfig

CONFIG = TrainConfig(
    network="mlp",
    learning_rate=2e-3,
    shortcut=True,
    prior="normal",
    weight_decay=0.01,
    patience=60,
    lr_schedule="constant",
    importance_samples=1000,
)
