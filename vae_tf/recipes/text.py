"""What train.py does with texts unless told otherwise: a decoder that would do without z asks it.

Word dropout hides a part of the past (Bowman et al. 2016), beta rises from 0, and each latent may
hold some bits without paying (Kingma et al. 2016, appendix C.8).
"""

from vae_tf.runs.config import TrainConfig

CONFIG = TrainConfig(
    network="gru",
    dataset="text:tiny_shakespeare",
    prior="normal",
    word_dropout=0.2,
    beta_warmup_epochs=5,
    free_bits=0.1,
    learning_rate=2e-3,
    weight_decay=0.01,
    clipnorm=5.0,
    epochs=40,
    patience=8,
    importance_samples=100,
)
