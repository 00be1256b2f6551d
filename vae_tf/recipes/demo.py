"""`make demo`: the embedded digits, small enough for two minutes on two cores."""

from vae_tf.runs.config import TrainConfig

CONFIG = TrainConfig(
    network="mlp",
    learning_rate=2e-3,
    dataset="digits",
    hidden=(256, 256),
    latent_dim=16,
    likelihood="bernoulli",
    binarization="dynamic",
    prior_components=500,
    patience=50,
    epochs=200,
    batch_size=100,
    weight_decay=0.2,
    importance_samples=1000,
)
