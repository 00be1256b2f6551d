"""A new prior: copy this file, rename the class, change the distribution.

Optional are `from_noise`, by which an exported decoder draws on its own, and `mixture`; see
`vae_tf.priors.Prior`.
"""

from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

import vae_tf


@keras.saving.register_keras_serializable(package="skeletons")
class HeavyTailed(vae_tf.priors.Prior):
    """p(z) = prod_d t(z_d; 0, scale_d) with `df` degrees of freedom and learned scales.

    Args:
        latent_dim: L.
        df: small for heavy tails; the normal distribution is its limit.
    """

    factorized = True  # a product over dimensions: the KL can be told for each

    def __init__(self, latent_dim: int, df: float = 5.0, **kwargs: Any):
        super().__init__(latent_dim, **kwargs)
        self.df = df
        # Variables are made here, for the model never calls a prior
        self.log_scale = self.add_weight(
            name="log_scale", shape=(self.latent_dim,), initializer="zeros"
        )

    def distribution(self) -> tfd.Distribution:
        """Returns p(z), batch [], event [L]."""
        scale = tf.exp(self.bounded_log_scale(self.log_scale))
        return tfd.Independent(tfd.StudentT(self.df, tf.zeros_like(scale), scale), 1)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "df": self.df}


if __name__ == "__main__":
    print(vae_tf.conformance.check(prior=HeavyTailed(2)))
