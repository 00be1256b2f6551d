"""The picture of a two-dimensional latent space (Kingma and Welling 2014, figure 4)."""

from vae_tf.runs.config import TrainConfig

CONFIG = TrainConfig(dataset="mnist", latent_dim=2, epochs=60)
