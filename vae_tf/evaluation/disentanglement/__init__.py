"""Five scores of disentanglement: how far each latent follows one factor of the data.

They take codes [N, L], such as `vae.encode(x).mean()`, and the factors [N, K] of the same examples.
For generated data, the table of all combinations of factors is best; a sample of it is enough.
"""

from vae_tf.evaluation.disentanglement.dci import DCI, dci
from vae_tf.evaluation.disentanglement.every import disentanglement
from vae_tf.evaluation.disentanglement.fixed_factor import beta_vae_score, factor_vae_score
from vae_tf.evaluation.disentanglement.mig import mig
from vae_tf.evaluation.disentanglement.sap import sap

__all__ = [
    "DCI",
    "beta_vae_score",
    "dci",
    "disentanglement",
    "factor_vae_score",
    "mig",
    "sap",
]


def __dir__() -> list[str]:
    return sorted(__all__)
