"""The aggregate posterior q(z) = E_p(x)[q(z|x)], as a prior for generation."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from sklearn.mixture import GaussianMixture

from vae_tf.checks import instance, whole
from vae_tf.data.batch import Batch
from vae_tf.distributions import Hierarchy, MixtureOfNormals, Prior, VampPrior
from vae_tf.errors import ConfigError, DataError
from vae_tf.models import VAE

LEAST_WEIGHT = 1e-12  # of a component that no example uses


def fit_mixture(
    vae: VAE, data, components: int = 100, *, batch_size: int = 1024, seed: int = 0
) -> MixtureOfNormals:
    """Returns a mixture of diagonal normals fitted to draws z ~ q(z|x), one for each example.

    Samples of it look better than samples of a fixed prior where the two disagree (Ghosh et al.
    2020). `vae.replace(prior=...)` makes a model with it.

    Args:
        vae: a trained model.
        data: examples in any form that `fit` takes.
        components: K, fitted by scikit-learn's EM. Their standard deviations are at least 0.05, the
            smallest that MixtureOfNormals allows.
        batch_size: examples encoded at a time, for arrays.
        seed: seed of EM and of the draws, which belong to the examples as the data order them.

    Raises:
        DataError: there are fewer examples than components, or latents spread wider than
            MixtureOfNormals allows.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> vae = vae_tf.VAE(encoder, decoder)
        >>> x = np.random.default_rng(0).integers(2, size=(100, 8))
        >>> fitted = vae_tf.evaluation.fit_mixture(vae, x, components=3)
        >>> vae.replace(prior=fitted).sample(5, seed=0).shape.as_list()
        [5, 8]
    """
    instance("vae", vae, VAE)
    components, batch_size = whole("components", components), whole("batch_size", batch_size)
    none = np.zeros([0, vae.prior.latent_dim])
    z = np.concatenate([none, *_drawn(vae, data, batch_size, seed)])
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


def weigh_components(vae: VAE, data, *, batch_size: int = 256, seed: int = 0) -> None:
    """Sets the weight of each component of a mixture prior to its share of the aggregate posterior.

    Gradients lower the weight of an unused component only slowly, and after a short training its
    samples are noise. This is one step of expectation maximization for the weights, so that log
    p(z), averaged over draws z ~ q(z|x) of `data`, cannot fall.

    Args:
        vae: a trained model whose prior, or the top of whose Hierarchy, is a MixtureOfNormals or a
            VampPrior.
        data: the training examples, in any form that `fit` takes.
        batch_size: examples at a time, for arrays.
        seed: seed of the draws, which belong to the examples as the data order them.

    Raises:
        ConfigError: the prior is of another class.
        DataError: there are no examples.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> prior = vae_tf.priors.MixtureOfNormals(2, components=3)
        >>> vae = vae_tf.VAE(encoder, decoder, prior=prior)
        >>> vae_tf.evaluation.weigh_components(vae, np.eye(8))
        >>> round(float(prior.mixture()["weights"].sum()), 3)
        1.0
    """
    instance("vae", vae, VAE)
    prior = with_components(vae.prior)
    if prior is None:
        fix = "Leave other priors as they are."
        received = type(vae.prior).__name__
        raise ConfigError("Weights belong to MixtureOfNormals and VampPrior", received, fix)
    pz, count = prior.distribution(), 0
    total: np.ndarray = np.zeros(prior.components)
    for z in _drawn(vae, data, batch_size, seed):
        own = z[:, : prior.latent_dim]
        shares = pz.posterior_marginal(own).probs_parameter().numpy()
        total, count = total + shares.sum(0, dtype="float64"), count + len(z)
    if not count:
        fix = "Pass the training examples."
        raise DataError("The data must hold examples", "an empty dataset", fix)
    prior.logits.assign(np.log(np.maximum(total / count, LEAST_WEIGHT)))


def with_components(prior: Prior) -> MixtureOfNormals | VampPrior | None:
    """Returns the prior, or the top of a Hierarchy, if it is a mixture; None for other priors.

    Example:
        >>> mixture = vae_tf.priors.MixtureOfNormals(2, components=3)
        >>> vae_tf.evaluation.with_components(vae_tf.priors.Hierarchy(mixture)) is mixture
        True
        >>> vae_tf.evaluation.with_components(vae_tf.priors.StandardNormal(2)) is None
        True
    """
    top = prior.top if isinstance(prior, Hierarchy) else prior
    return top if isinstance(top, MixtureOfNormals | VampPrior) else None


def _drawn(vae: VAE, data, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Yields draws z ~ q(z|x), one for each example of a batch, [B, L]."""
    done, latent_dim = 0, vae.prior.latent_dim
    for batch in vae.door.batches(data, batch_size, "evaluation"):
        params = vae.generator.encoded(Batch(batch.x, batch.mask, batch.condition))
        _, drawn = vae.posterior.drawn(params, 1, latent_dim, tf.constant([seed, 0]), done)
        yield np.asarray(drawn[0])
        done += len(drawn[0])
