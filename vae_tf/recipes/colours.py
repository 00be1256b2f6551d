"""A hierarchical VAE of small colour images, 256 levels a channel: likelihoods in bits."""

from vae_tf.runs.config import TrainConfig

CONFIG = TrainConfig(
    dataset="cifar10",
    binarization="none",
    likelihood="discretized-logistic-mixture",
    network="resnet",
    latents=(64, 16, 8),
    filters=(48, 64, 96, 96),
    prior="normal",
    beta_warmup_epochs=10,
    batch_size=100,
    learning_rate=1e-3,
    weight_decay=0.01,
    clipnorm=1000.0,
    epochs=100,
    patience=20,
    precision="mixed_bfloat16",
    importance_samples=100,
)
