"""A new family of models: copy this file, rename the class, change `call`.

Few families need this. Networks with inputs named `condition`, `mask` or `x`, a prior, a likelihood
or an objective of your own do for most; docs/architecture.md says which is which. This one needs a
second look of the encoder at every batch, which no other place can give.
"""

from typing import Any

import keras
import tensorflow as tf

import vae_tf
from vae_tf.objectives import Terms, kl_divergence, weighted_mean


@keras.saving.register_keras_serializable(package="skeletons")
class ConsistentVAE(vae_tf.VAE):
    """A VAE that shall describe an image and its mirror image alike (Sinha and Dieng 2021, CR-VAE).

    Args:
        *args: as for VAE.
        strength: weight of KL(q(z|mirrored x) || q(z|x)).
        **kwargs: as for VAE.
    """

    own_arguments = ("strength",)  # saved with the model

    def __init__(self, *args: Any, strength: float = 1.0, **kwargs: Any):
        self.strength = strength
        super().__init__(*args, **kwargs)

    def call(self, data: Any, seed: Any = None, first: Any = None, training: bool = False) -> Terms:
        """Returns the terms of VAE's bound, with the KL between the two descriptions beside it."""
        terms = super().call(data, seed, first, training)
        batch = self.door.parse(data).tensors()
        seen = self.parts.q(batch, training)
        mirrored = self.parts.q(batch._replace(x=tf.reverse(batch.x, [2])), training)
        apart = weighted_mean(kl_divergence(mirrored, seen, None), batch.weight)
        penalty = self.strength * apart
        self.add_loss(penalty)
        # What a loss has beside nll and kl is reported as `regularization`
        return terms._replace(extra=penalty if terms.extra is None else terms.extra + penalty)


if __name__ == "__main__":
    data = vae_tf.data.load("digits", binarization="static")
    likelihood = vae_tf.likelihoods.Bernoulli()
    encoder = vae_tf.networks.mlp_encoder(data.shape, 4, (64,))
    decoder = vae_tf.networks.mlp_decoder(4, likelihood.parameter_shapes(data.shape), (64,))
    vae = ConsistentVAE(encoder, decoder, likelihood=likelihood)
    vae.compile("adam")
    vae.fit(data.train.array(), epochs=5, verbose=2)
