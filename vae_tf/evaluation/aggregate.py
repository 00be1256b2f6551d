"""The aggregate posterior q(z) = E_p(x)[q(z|x)], as a prior for generation."""

import numpy as np
from sklearn.mixture import GaussianMixture

from vae_tf.checks import instance, whole
from vae_tf.data.batch import Batch
from vae_tf.distributions import MixtureOfNormals
from vae_tf.errors import DataError
from vae_tf.models import VAE


def fit_mixture(
    vae: VAE, data, components: int = 100, *, batch_size: int = 1024, seed: int = 0
) -> MixtureOfNormals:
    """Returns a mixture of diagonal normals fitted to draws z ~ q(z|x), one for each example.

    Samples of it look better than samples of a fixed prior where the two disagree (Ghosh et al.
    2020). `vae.replace(prior=...)` puts it in the prior's place.

    Args:
        vae: a trained model.
        data: examples, [N, *event].
        components: K; scikit-learn's EM fits them. None gets narrower than MixtureOfNormals
            allows, a standard deviation of 0.05.
        batch_size: examples encoded at a time.
        seed: of the draws and of EM's start.

    Raises:
        DataError: fewer examples than components, or latents spread wider than MixtureOfNormals
            allows.
    """
    instance("vae", vae, VAE)
    components, batch_size = whole("components", components), whole("batch_size", batch_size)
    vae.door.look(Batch(np.asarray(data)), "evaluation")
    if len(data) < components:
        fix = "Pass more examples or fewer components."
        raise DataError(f"{components} components need as many examples", len(data), fix)
    starts = range(0, len(data), batch_size)
    z = [vae.encode(data[i : i + batch_size]).sample(seed=[seed, i]).numpy() for i in starts]
    em = GaussianMixture(components, covariance_type="diag", random_state=seed)
    em.fit(np.concatenate(z).astype("float64"))
    prior = MixtureOfNormals(vae.prior.latent_dim, components)
    widest, limit = np.sqrt(em.covariances_.max()), np.exp(prior.log_scale_bounds[1])
    if widest > limit:
        fix = "Train with a larger beta, or scale the latents."
        expected = f"Clusters of latents must be within a standard deviation of {limit:.0f}"
        raise DataError(expected, f"{widest:.3g}", fix)
    prior.logits.assign(np.log(em.weights_))
    prior.means.assign(em.means_)
    prior.log_scales.assign(0.5 * np.log(em.covariances_))
    return prior
