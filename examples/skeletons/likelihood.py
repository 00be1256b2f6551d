"""A new likelihood: copy this file, rename the class, change the distribution.

Optional are `elements`, where they cannot be read off a `tfd.Independent`; `allowed`, for data that
`support` does not describe; `discrete` and `alphabet`; see `vae_tf.likelihoods.Likelihood`.
"""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

import vae_tf


@keras.saving.register_keras_serializable(package="skeletons")
class Laplace(vae_tf.likelihoods.Likelihood):
    """p(x|z) = prod_i Laplace(x_i; loc_i, scale), whose mode is a median.

    Args:
        scale: of every element, in the units of the data.
    """

    parameters = ("loc",)  # names of the decoder's outputs, each shaped like the data
    # `support = (0.0, 1.0)` would have every batch checked for values outside

    def __init__(self, scale: float = 0.5, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = scale

    def distribution(self, params: Mapping[str, tf.Tensor]) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event]."""
        loc = params["loc"]
        return tfd.Independent(tfd.Laplace(loc, self.scale), loc.shape.rank - 1)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "scale": self.scale}


if __name__ == "__main__":
    print(vae_tf.conformance.check(likelihood=Laplace()))
