"""The aggregate posterior q(z) = E_p(x)[q(z|x)], as a prior for generation."""

import numpy as np
import tensorflow as tf
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
        data: examples in any form that `fit` takes.
        components: K; scikit-learn's EM fits them. None gets narrower than MixtureOfNormals
            allows, a standard deviation of 0.05.
        batch_size: examples encoded at a time, for arrays.
        seed: of EM's start, and of the draws, which belong to the examples as the data order them.

    Raises:
        DataError: fewer examples than components, or latents spread wider than MixtureOfNormals
            allows.
    """
    instance("vae", vae, VAE)
    components, batch_size = whole("components", components), whole("batch_size", batch_size)
    z, latent_dim = np.zeros([0, vae.prior.latent_dim]), vae.prior.latent_dim
    for batch in vae.door.batches(data, batch_size, "evaluation"):
        params = vae.generator.encoded(Batch(batch.x, batch.mask, batch.condition))
        _, drawn = vae.posterior.drawn(params, 1, latent_dim, tf.constant([seed, 0]), len(z))
        z = np.append(z, drawn[0], 0)
    if len(z) < components:
        fix = "Pass more examples or fewer components."
        raise DataError(f"{components} components need as many examples", len(z), fix)
    em = GaussianMixture(components, covariance_type="diag", random_state=seed)
    em.fit(z)
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
