"""M1+M2 of Kingma, Mohamed, Rezende and Welling (2014): M2 on the codes of a VAE of all images."""

from vae_tf.runs.config import TrainConfig

CONFIG = TrainConfig(
    dataset="mnist",
    likelihood="bernoulli",
    network="mlp",
    hidden=(500,),
    latent_dim=10,
    codes=50,
    labels=100,
    labelled_share=0.05,
    classifier_weight=20.0,
    batch_size=200,
    learning_rate=3e-3,
    weight_decay=0.0,
    patience=0,
    epochs=60,
    importance_samples=100,
)
