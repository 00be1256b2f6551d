"""The model M2 of Kingma, Mohamed, Rezende and Welling (2014) on MNIST with 100 labels."""

from vae_tf.runs.config import TrainConfig

# The bound does not ask the classes to be digits; labels and noise do. With one labelled image in
# twenty and all pixels seen, the bound improved while more and more digits were misread.
CONFIG = TrainConfig(
    dataset="mnist",
    likelihood="bernoulli",
    network="mlp",
    hidden=(500,),
    input_dropout=0.5,
    latent_dim=50,
    labels=100,
    labelled_share=0.5,
    classifier_weight=50.0,
    batch_size=200,
    learning_rate=1e-3,
    weight_decay=0.0,
    patience=0,
    epochs=40,
    importance_samples=100,
)
