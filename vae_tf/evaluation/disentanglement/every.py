"""All scores of disentanglement at once."""

from vae_tf.evaluation.disentanglement.dci import dci
from vae_tf.evaluation.disentanglement.fixed_factor import beta_vae_score, factor_vae_score
from vae_tf.evaluation.disentanglement.mig import mig
from vae_tf.evaluation.disentanglement.sap import sap


def disentanglement(
    codes, factors, *, least_variance: float = 0.05, seed: int = 0
) -> dict[str, float]:
    """Returns the scores by name: MIG, the three of DCI, SAP, and those of beta-VAE and FactorVAE.

    Args:
        codes: means of q(z|x), [N, L].
        factors: whole numbers, [N, K].
        least_variance: as for `factor_vae_score`; the default suits a prior of unit variance.
        seed: seed of all draws.

    Raises:
        DataError: there is no score of such codes or factors.

    Example:
        >>> factors = np.array([[i, j] for i in range(10) for j in range(10)])
        >>> codes = factors[:, ::-1] * [1.0, -2.0]  # each latent follows one factor
        >>> scores = vae_tf.evaluation.disentanglement.disentanglement(codes, factors)
        >>> round(scores['mig'], 3), round(scores['factor_vae'], 3)
        (1.0, 1.0)
    """
    forests = dci(codes, factors, seed=seed)
    return {
        "mig": mig(codes, factors),
        "dci_disentanglement": forests.disentanglement,
        "dci_completeness": forests.completeness,
        "dci_informativeness": forests.informativeness,
        "sap": sap(codes, factors, seed=seed),
        "beta_vae": beta_vae_score(codes, factors, seed=seed),
        "factor_vae": factor_vae_score(codes, factors, least_variance=least_variance, seed=seed),
    }
