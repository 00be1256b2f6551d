"""Bounds whose gradient needs no derivative through the draws: REINFORCE and VIMCO."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from vae_tf.checks import instance
from vae_tf.errors import ConfigError
from vae_tf.objectives.base import Inference, Objective, Terms
from vae_tf.objectives.baselines import Baseline
from vae_tf.objectives.gradients import with_gradient_of
from vae_tf.objectives.importance_weighted import ImportanceWeighted
from vae_tf.objectives.terms import Group, kl_parts


@keras.saving.register_keras_serializable(package="vae_tf")
class ScoreFunction(Objective):
    """The ELBO with the score-function gradient (Williams 1992; Mnih and Gregor 2014).

    grad E_q[f(z)] = E_q[(f(z) - b) grad log q(z|x)] for f = -log p(x|z), beside the exact gradient
    of the KL where that has a closed form; where it has none, the KL is part of f. Kingma and
    Welling (2014, section 2.2) call it too noisy to be practical; a baseline b helps.

    Args:
        num_samples: draws of z for each example.
        baseline: a RunningMean, a LearnedBaseline, a LeaveOneOut (two draws at least), or None.

    Raises:
        ConfigError: there are fewer draws than the baseline needs.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> baseline = vae_tf.objectives.RunningMean()
        >>> objective = vae_tf.objectives.ScoreFunction(baseline=baseline)
        >>> vae_tf.VAE(encoder, decoder, objective=objective)(np.ones((3, 8))).nll.shape.as_list()
        [3]
    """

    def __init__(self, num_samples: int = 1, baseline: Baseline | None = None, **kwargs):
        super().__init__(num_samples, **kwargs)
        if isinstance(baseline, dict):
            baseline = keras.saving.deserialize_keras_object(baseline)
        if baseline is not None:
            instance("baseline", baseline, Baseline)
            if num_samples < baseline.least_samples:
                name, least = type(baseline).__name__, baseline.least_samples
                fix = f"Pass num_samples={least}, or baseline=RunningMean()."
                raise ConfigError(f"{name} needs {least} draws at least", num_samples, fix)
        self.baseline = baseline

    def estimate(self, inference: Inference) -> Terms:
        """Returns the terms of one batch."""
        qz, pz = inference.qz, inference.pz
        z = inference.draw(self.num_samples)
        fixed = tf.stop_gradient(z)
        log_px = inference.log_px(fixed)
        log_q = qz.log_prob(fixed)
        nll = -tf.reduce_mean(log_px, 0)
        parts = _closed(inference.groups(fixed), inference.level)
        if parts is None:
            if inference.kl_control is not None:
                name = type(inference.kl_control).__name__
                fix = "Drop the control, or use ELBO or a prior with a closed-form KL."
                expected = f"With ScoreFunction, {name} needs a KL in closed form"
                raise ConfigError(expected, type(pz).__name__, fix)
            log_p = pz.log_prob(fixed)
            kl = tf.reduce_mean(tf.stop_gradient(log_q) - log_p, 0)
            signal = -log_px + inference.beta * (log_q - log_p)
            kl_term = inference.beta * kl
        else:
            kl, kl_term, signal = tf.reduce_sum(parts, -1), inference.kl_term(parts), -log_px
        kl_term += self._score(inference, tf.stop_gradient(signal), log_q)
        return Terms(nll, kl, kl_term, z)

    def _score(self, inference: Inference, signal, log_q) -> tf.Tensor:
        """Returns zeros [B] with the gradient of E_q[signal] by q, and of the baseline's error."""
        if self.baseline is None:
            surrogate = tf.reduce_mean(signal * log_q, 0)
        else:
            b = tf.stop_gradient(self.baseline.value(inference.batch.x, signal))
            surrogate = tf.reduce_mean((signal - b) * log_q, 0)
            surrogate += self.baseline.learn(inference.batch.x, signal, inference.training)
        return with_gradient_of(tf.zeros_like(surrogate), surrogate)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        baseline = self.baseline and keras.saving.serialize_keras_object(self.baseline)
        return {**super().get_config(), "baseline": baseline}


def _closed(groups: Sequence[Group], level: str) -> tf.Tensor | None:
    """Returns the parts of the KL; None without a closed form, or where it depends on draws.

    Of what depends on draws the score function has to know.
    """
    if any(group.depends for group in groups):
        return None
    try:
        return kl_parts(groups, level, closed_form=True)
    except ConfigError:
        return None


@keras.saving.register_keras_serializable(package="vae_tf")
class VIMCO(ImportanceWeighted):
    """The IWAE bound with score-function gradients (Mnih and Rezende 2016, equation 7).

    The baseline of each draw is the bound in which its weight is replaced by the geometric mean of
    the others.

    Args:
        num_samples: K, at least two.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> objective = vae_tf.objectives.VIMCO(num_samples=5)
        >>> vae = vae_tf.VAE(encoder, decoder, objective=objective)
        >>> terms = vae(np.ones((3, 8)))
        >>> terms.z.shape.as_list(), terms.bound.shape.as_list()
        ([5, 3, 2], [3])
    """

    least_samples = 2

    def __init__(self, num_samples: int = 5, **kwargs):
        super().__init__(num_samples, **kwargs)

    def estimate(self, inference: Inference) -> Terms:
        """Returns the terms of one batch."""
        z = inference.draw(self.num_samples)
        fixed = tf.stop_gradient(z)
        log_px = inference.log_px(fixed)
        log_ratio = inference.log_ratio(fixed)
        log_w = log_px + inference.beta * log_ratio
        bound = self._bound(log_w)
        signal = tf.stop_gradient(bound - self._without_each(log_w))  # [K, B]
        score = tf.reduce_sum(signal * inference.qz.log_prob(fixed), 0)
        loss = with_gradient_of(-bound, -(score + bound))
        return self._terms(inference, z, log_px, log_ratio, loss)

    def _without_each(self, log_w: tf.Tensor) -> tf.Tensor:
        """Returns for each draw the bound without it, [K, B]."""
        k = self.num_samples
        mean_of_others = (tf.reduce_sum(log_w, 0) - log_w) / (k - 1)
        own = tf.eye(k, dtype=tf.bool)[:, :, None]
        replaced = tf.where(own, mean_of_others[None], log_w[None])  # [K left out, K, B]
        return tf.reduce_logsumexp(replaced, 1) - tf.math.log(float(k))
