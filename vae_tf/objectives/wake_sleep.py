"""The wake-sleep algorithm: two phases, each with a loss of its own."""

import keras
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.errors import ConfigError
from vae_tf.objectives.base import Inference, Objective, Terms
from vae_tf.objectives.gradients import added, with_gradient_of, without
from vae_tf.objectives.terms import kl_parts, replica_mean


@keras.saving.register_keras_serializable(package="vae_tf")
class WakeSleep(Objective):
    """The wake-sleep algorithm (Hinton et al. 1995), Kingma and Welling's baseline (2014, 5).

    In the wake phase, draws z ~ q(z|x) of the data teach decoder and prior, by the gradient of -log
    p(x, z). In the sleep phase, dreams z ~ p(z), x ~ p(x|z) teach the encoder, by the gradient of
    -log q(z|x). These are gradients of two losses, so there is no bound that both descend; the ELBO
    is reported.

    Raises:
        ConfigError: in a step, if the likelihood cannot be sampled.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> objective = vae_tf.objectives.WakeSleep()
        >>> vae = vae_tf.VAE(encoder, decoder, objective=objective)
        >>> from vae_tf.data.batch import Batch
        >>> terms, gradients = vae.objective.step(vae, Batch(tf.ones([3, 8])))
        >>> len(gradients) == len(vae.trainable_weights)
        True
    """

    has_kl_term = False

    def estimate(self, inference: Inference) -> Terms:
        """Returns the ELBO's terms, with the gradient of the wake phase."""
        z = tf.stop_gradient(inference.draw(self.num_samples))
        latents = inference.groups(z)
        nll = -tf.reduce_mean(inference.log_px(z), 0)
        kl = tf.stop_gradient(tf.reduce_sum(kl_parts(latents), -1))
        log_pz = tf.reduce_mean(tf.add_n([group.p.log_prob(group.z) for group in latents]), 0)
        kl_term = with_gradient_of(inference.beta * kl, -log_pz)
        return Terms(nll, kl, kl_term, z, bound=tf.stop_gradient(-(nll + kl)))

    def step(self, model, batch: Batch) -> tuple[Terms, list]:
        """Returns the terms of one batch, and the gradients of both phases by each weight."""
        terms, awake = super().step(model, batch)
        z, dream = self.dream(model, batch)
        with tf.GradientTape() as tape:
            log_qz = model.parts.q(dream, training=True).log_prob(z)
            loss = model.scaled(replica_mean(-log_qz, batch.weight))
        asleep = tape.gradient(loss, model.trainable_weights)
        # Of a posterior made of its prior: dreams teach what reads them, not what dreams
        return terms, added(awake, without(model.prior, model.trainable_weights, asleep))

    def dream(self, model, batch: Batch) -> tuple[tf.Tensor, Batch]:
        """Returns z ~ p(z) [B, L], and as many examples x ~ p(x|z) as there are in `batch`."""
        pz, seed = model.parts.p(batch), model.next_seed()
        of_z, of_x = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
        rows = [] if pz.batch_shape.rank else [tf.shape(batch.x)[0]]
        z = pz.sample(*rows, seed=of_z)
        try:
            x = model.parts.px(z, batch).sample(seed=of_x)
        except NotImplementedError:  # TFP's word for it
            name = type(model.likelihood).__name__
            fix = "Use objective=ELBO(), or a likelihood that can be sampled."
            raise ConfigError("WakeSleep draws its dreams from p(x|z)", name, fix) from None
        return tf.stop_gradient(z), batch._replace(x=tf.stop_gradient(tf.cast(x, tf.float32)))
