"""What train.py does unless told otherwise."""

from vae_tf.runs.config import TrainConfig

CONFIG = TrainConfig()
