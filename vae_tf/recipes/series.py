"""What train.py does with real-valued series unless told otherwise."""

from vae_tf.runs.config import TrainConfig

CONFIG = TrainConfig(
    network="gru",
    dataset="series:FILE",
    prior="normal",
    learning_rate=2e-3,
    weight_decay=0.01,
    clipnorm=5.0,
    importance_samples=1000,
)
