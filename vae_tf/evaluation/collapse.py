"""How much of x passes through z: whether a posterior has collapsed onto its prior."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import instance, real, whole
from vae_tf.data.batch import Batch
from vae_tf.errors import ConfigError, DataError
from vae_tf.models import VAE
from vae_tf.objectives import Group, kl_parts

BATCH = 256  # examples in a network at a time
PAIRS = 2**22  # numbers held at a time when every z meets every q(z|x_j)


class MutualInformation(NamedTuple):
    """An estimate of I(x; z), in nats."""

    value: float
    stderr: float  # over examples and draws
    limit: float  # log N, which no value can exceed


@dataclass(frozen=True)
class Collapse:
    """What passes from x to z, and from z to E[x|z].

    Attributes:
        active: whether each latent tells examples apart, [L] bool.
        kl: KL of each latent, mean over the examples, [L]; None unless q and p factorize.
        mutual_information: I(x; z) under q.
        sensitivity: share of the data's variance that E[x|z] follows.
    """

    active: np.ndarray
    kl: np.ndarray | None
    mutual_information: MutualInformation
    sensitivity: float

    @property
    def off(self) -> list[int]:
        """Indices of the latents that are not active."""
        return [int(d) for d in np.flatnonzero(~self.active)]


def measure_collapse(
    vae: VAE, x, *, num_samples: int = 4, threshold: float = 0.01, seed: int = 0
) -> Collapse:
    """Returns the numbers of this module for one model and a fixed set of examples.

    Args:
        vae: a model.
        x: held-out examples [N, *event], two at least.
        num_samples: draws z ~ q(z|x) for each example.
        threshold: of `active_units`.
        seed: of the draws.

    Raises:
        DataError: data the model does not take, or fewer than two examples.
    """
    instance("vae", vae, VAE)
    num_samples = whole("num_samples", num_samples)
    vae.door.look(Batch(x), "monitored")
    x = np.asarray(x, "float32")
    if len(x) < 2:
        raise DataError("Collapse shows between examples", f"{len(x)} of them", "Pass 100 or more.")
    params = _batched(lambda batch: vae.encoder(batch, training=False), x)
    qz, point = vae.posterior.distribution(params), vae.posterior.point(params)
    kl = None
    if vae.prior.factorized and vae.posterior.factorized:
        z = qz.sample(num_samples, seed=tf.constant([seed, 0]))
        kl = kl_per_dimension(qz, vae.prior.distribution(), z)
    images = _batched(
        lambda z: vae.likelihood.statistics(vae.decoder(z, training=False))["image"], point.numpy()
    )
    return Collapse(
        active_units(point, threshold),
        kl,
        mutual_information(qz, num_samples, seed),
        sensitivity(images, x),
    )


def active_units(z_mean, threshold: float = 0.01) -> np.ndarray:
    """Returns whether Var_x(E[z_d|x]) > threshold, [L] bool (Burda et al. 2016, section 5.2).

    Args:
        z_mean: E[z|x] of N examples, [N, L].
        threshold: in the square of z's unit; theirs is 0.01.
    """
    threshold = real("threshold", threshold, positive=False)
    return np.var(np.asarray(z_mean, "float64"), axis=0) > threshold


def kl_per_dimension(qz: tfd.Distribution, pz: tfd.Distribution, z=None) -> np.ndarray:
    """Returns KL(q(z_d|x) || p(z_d)) in nats, mean over the examples, [L].

    Args:
        qz: q(z|x), batch [N], a `tfd.Independent`.
        pz: p(z), a `tfd.Independent`.
        z: draws of q, [S, N, L]; needed where the KL has no closed form.

    Raises:
        ConfigError: one of them is no product over dimensions.
    """
    for name, distribution in (("qz", qz), ("pz", pz)):
        if not isinstance(distribution, tfd.Independent):
            fix = "Look at the whole KL, or use a posterior and a prior that factorize."
            expected = f"`{name}` must be a product over dimensions"
            raise ConfigError(expected, type(distribution).__name__, fix)
    return np.mean(kl_parts([Group(qz, pz, z)], "dimension"), axis=0)


def mutual_information(
    qz: tfd.Distribution, num_samples: int = 4, seed: int = 0
) -> MutualInformation:
    """Returns E[log q(z|x) - log q(z)], where q(z) = (1/N) sum_n q(z|x_n), in nats.

    It is what z tells of which of the N examples was encoded, and no more than log N. Of I(x; z)
    over the whole population it is too low by about chi^2 / 2N, where chi^2 is the divergence of
    q(x, z) from q(x) q(z): N must be many times exp(I) (Hoffman and Johnson 2016).

    Args:
        qz: q(z|x) of N examples, batch [N], event [L].
        num_samples: draws for each example.
        seed: of the draws.
    """
    num_samples = whole("num_samples", num_samples)
    n, size = int(qz.batch_shape[0]), int(qz.event_shape[0])
    z = qz.sample(num_samples, seed=tf.constant([seed, 1]))  # [S, N, L]
    own = qz.log_prob(z)
    rows = tf.reshape(z, [-1, 1, size])
    step = max(1, PAIRS // (n * size))
    log_qz = [
        tf.reduce_logsumexp(qz.log_prob(rows[i : i + step]), -1) - math.log(n)
        for i in range(0, len(rows), step)
    ]
    gain = own - tf.reshape(tf.concat(log_qz, 0), own.shape)
    per_example = np.mean(gain.numpy().astype("float64"), 0)
    stderr = float(np.std(per_example, ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return MutualInformation(float(np.mean(per_example)), stderr, math.log(n))


def sensitivity(images, x) -> float:
    """Returns the variance of E[x|z] over that of the data, both summed over the event.

    The mean squared change of E[x|z], when z is replaced by another example's, is twice the
    first; of x replaced by another example, twice the second. 0 is a decoder that ignores its
    latents or is given the same ones for all; 1 a decoder whose images differ as the data do.

    Args:
        images: E[x|z] at each example's z, [N, *event].
        x: the examples, [N, *event].

    Returns:
        The ratio; NaN where all examples are the same.
    """
    changes, total = _total_variance(images), _total_variance(x)
    return changes / total if total > 0 else math.nan


def _total_variance(values) -> float:
    return float(np.sum(np.var(np.asarray(values, "float64"), axis=0)))


def _batched(function, x: np.ndarray):
    parts = [function(tf.constant(x[i : i + BATCH])) for i in range(0, len(x), BATCH)]
    return keras.tree.map_structure(lambda *tensors: tf.concat(tensors, 0), *parts)
