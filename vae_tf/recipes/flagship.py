"""A hierarchical VAE of binarized MNIST, for the best likelihood that a few hours of a CPU give."""

from vae_tf.runs.config import TrainConfig

CONFIG = TrainConfig(
    dataset="binarized_mnist",
    network="resnet",
    latents=(32, 8, 4),
    filters=(32, 48, 64, 64),
    prior_components=500,
    beta_warmup_epochs=10,
    batch_size=100,
    learning_rate=1e-3,
    weight_decay=0.2,
    clipnorm=100.0,
    epochs=80,
    patience=0,
    precision="mixed_bfloat16",
)
