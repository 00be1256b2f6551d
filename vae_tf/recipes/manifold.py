"""The picture of a two-dimensional latent space (Kingma and Welling 2014, figure 4)."""

from vae_tf.runs.config import TrainConfig

CONFIG = TrainConfig(
    network="mlp",
    learning_rate=2e-3,
    dataset="mnist",
    latent_dim=2,
    prior="normal",
    likelihood="bernoulli",
    batch_size=250,
    weight_decay=0.0,
    patience=50,
    epochs=60,
    importance_samples=1000,
)
