"""Monte Carlo EM: the decoder learns from draws of the true posterior."""

import math

import keras
import tensorflow as tf
from tensorflow_probability import mcmc

from vae_tf.checks import real, whole
from vae_tf.data.batch import Batch
from vae_tf.errors import ConfigError
from vae_tf.objectives.base import Inference, Objective, Terms
from vae_tf.objectives.gradients import added, without
from vae_tf.objectives.terms import kl_parts, replica_mean, weighted_mean

RATE = 0.5  # of the step size's logarithm, for each unit of acceptance that is missing
JITTER = 0.5  # by which step sizes differ, lest a trajectory be a whole period (Neal 2011, 3.2)


@keras.saving.register_keras_serializable(package="vae_tf")
class MonteCarloEM(Objective):
    """Monte Carlo EM (Wei and Tanner 1990), Kingma and Welling's second baseline (2014, 5).

    In the E-step Hamiltonian Monte Carlo draws z ~ p(z|x), with a chain for each example. In the
    M-step decoder and prior follow the gradient of log p(x, z) at these draws. Its mean over p(z|x)
    is the gradient of log p(x) itself (Fisher's identity), so that the only error comes from the
    finite length of the chains, not from a bound.

    The algorithm needs an encoder only for a start: chains begin at z ~ q(z|x), and the encoder
    learns from their draws, by the gradient of -log q(z|x). So later chains start closer to p(z|x),
    and q(z|x) serves as the proposal of `log_likelihood` and the answer of `encode`. The reported
    ELBO is that of this q.

    Args:
        num_samples: number of draws of each chain, over which the M-step averages.
        burn_in: number of transitions before the first of these draws.
        leapfrog_steps: number of leapfrog steps in a transition; each takes one gradient of the
            decoder.
        acceptance: rate of acceptance, between 0 and 1, to which training adapts the step size.
        step_size: step size of the first transition.

    Attributes:
        log_step_size: logarithm of the current step size, a variable.

    Raises:
        ConfigError: the acceptance is not between 0 and 1.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> objective = vae_tf.objectives.MonteCarloEM(num_samples=2, leapfrog_steps=3)
        >>> vae = vae_tf.VAE(encoder, decoder, objective=objective)
        >>> round(float(vae.objective.log_step_size), 3)  # ln 0.1, adapted in training
        -2.303
    """

    has_kl_term = False

    def __init__(
        self,
        num_samples: int = 1,
        burn_in: int = 1,
        leapfrog_steps: int = 10,
        acceptance: float = 0.9,
        step_size: float = 0.1,
        **kwargs,
    ):
        super().__init__(num_samples, **kwargs)
        self.burn_in = whole("burn_in", burn_in, least=0)
        self.leapfrog_steps = whole("leapfrog_steps", leapfrog_steps)
        self.acceptance = real("acceptance", acceptance, positive=True, fix="Pass acceptance=0.9.")
        if self.acceptance >= 1:
            fix = "Pass acceptance=0.9."
            raise ConfigError("`acceptance` must be below 1", repr(acceptance), fix)
        self.step_size = real("step_size", step_size, positive=True)
        start = keras.initializers.Constant(math.log(self.step_size))
        own = {"shape": (), "initializer": start, "trainable": False}
        self.log_step_size = self.add_weight(name="log_step_size", **own)

    def estimate(self, inference: Inference) -> Terms:
        """Returns the ELBO's terms, without gradients."""
        z = inference.draw(self.num_samples)
        nll = -tf.reduce_mean(inference.log_px(z), 0)
        kl = tf.reduce_sum(kl_parts(inference.groups(z)), -1)
        nll, kl, z = (tf.stop_gradient(part) for part in (nll, kl, z))
        return Terms(nll, kl, inference.beta * kl, z, bound=-(nll + kl))

    def step(self, model, batch: Batch) -> tuple[Terms, list]:
        """Returns the terms of one batch, and the gradients of the M-step and of the encoder."""
        terms, penalties = super().step(model, batch)
        z, accepted = self.posterior_draws(model, batch, terms.z[0])
        self.adapt(weighted_mean(accepted, batch.weight))
        with tf.GradientTape() as tape:
            log_p = model.parts.log_px(z, batch, training=True) + model.parts.p(batch).log_prob(z)
            loss = model.scaled(replica_mean(-tf.reduce_mean(log_p, 0), batch.weight))
        weights = model.trainable_weights
        m_step = tape.gradient(loss, weights)
        with tf.GradientTape() as tape:
            log_q = model.parts.q(batch, training=True).log_prob(z)
            loss = model.scaled(replica_mean(-tf.reduce_mean(log_q, 0), batch.weight))
        # Of a posterior made of its prior: the draws teach what starts the chains alone
        encoder = without(model.prior, weights, tape.gradient(loss, weights))
        return terms, added(penalties, m_step, encoder)

    def posterior_draws(self, model, batch: Batch, start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns z ~ p(z|x) [S, B, L] after the burn-in, and the acceptance of each chain, [B].

        Args:
            model: a VAE.
            batch: tensors.
            start: starting points of the chains, [B, L].
        """
        pz, size = model.parts.p(batch), tf.exp(self.log_step_size)
        rows = [tf.shape(start)[0], 1]

        def log_joint(z):
            return (model.parts.log_px(z[None], batch) + pz.log_prob(z[None]))[0]

        def transition(state, seed):
            of_size, of_path = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
            sizes = size * tf.random.stateless_uniform(rows, of_size, 1 - JITTER, 1 + JITTER)
            kernel = mcmc.HamiltonianMonteCarlo(log_joint, sizes, self.leapfrog_steps)
            z, results = kernel.one_step(state[0], kernel.bootstrap_results(state[0]), of_path)
            return z, tf.exp(tf.minimum(results.log_accept_ratio, 0.0))

        transitions = self.burn_in + self.num_samples
        seeds = tf.random.experimental.stateless_split(model.next_seed(), transitions)
        z, accepted = tf.scan(transition, seeds, (start, tf.zeros(rows[:1])))
        kept = z[self.burn_in :]
        kept.set_shape([self.num_samples, *start.shape])
        return tf.stop_gradient(kept), tf.reduce_mean(accepted, 0)

    def adapt(self, accepted: tf.Tensor) -> None:
        """Moves the step size so that the mean acceptance approaches the wanted one."""
        accepted = tf.where(tf.math.is_finite(accepted), accepted, 0.0)
        self.log_step_size.assign_add(RATE * (accepted - self.acceptance))

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        names = ("burn_in", "leapfrog_steps", "acceptance", "step_size")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
