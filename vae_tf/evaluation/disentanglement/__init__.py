"""How far each latent follows one factor of the data, by five scores of the literature.

They take codes [N, L], such as `vae.encode(x).mean()`, and the factors [N, K] of the same examples.
Of generated data the table of all combinations is best; a sample of it will do.
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
