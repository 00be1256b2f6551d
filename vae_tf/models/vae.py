"""The variational autoencoder of Kingma and Welling (2014), as a Keras model."""

from typing import NamedTuple

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import instance, whole
from vae_tf.distributions.likelihoods.base import Likelihood
from vae_tf.distributions.likelihoods.binary import Bernoulli
from vae_tf.distributions.posteriors.base import Posterior
from vae_tf.distributions.posteriors.normal import DiagonalNormal
from vae_tf.distributions.priors.base import Prior
from vae_tf.distributions.priors.normal import StandardNormal
from vae_tf.errors import ConfigError
from vae_tf.models import inputs
from vae_tf.models.finite import all_finite, guarded
from vae_tf.models.generation import Generation
from vae_tf.models.optimizers import with_loss_scaling
from vae_tf.models.randomness import load_seed_states, save_seed_states
from vae_tf.models.shapes import check_event, check_halves, latent_dim_of
from vae_tf.objectives.elbo import kl_divergence, negative_log_likelihood, weighted_mean
from vae_tf.objectives.schedules import Schedule, as_schedule


class Terms(NamedTuple):
    """What one batch gives, per example."""

    nll: tf.Tensor  # -log p(x|z), [B], nats
    kl: tf.Tensor  # KL(q(z|x) || p(z)), [B], nats
    finite: tf.Tensor  # one bool for each of `finite.STAGES`


@keras.saving.register_keras_serializable(package="vae_tf")
class VAE(Generation, keras.Model):
    """An encoder q(z|x) and a decoder p(x|z), trained on loss = mean(nll) + beta * mean(kl).

    `fit` and `evaluate` report, in nats per example: `loss`; `nll`, `kl`, its parts; `elbo` =
    -(nll + kl), free of beta; `beta`; `regularization` where the networks have any. They take
    arrays, `tf.data`, `(x,)`, `(x, y)` and `(x, y, sample_weight)`; `y` is not used. Means are
    weighted by `sample_weight`.

    Args:
        encoder: a Keras model, data [B, *event] to the posterior's parameters.
        decoder: a Keras model, latents [B, L] to the likelihood's parameters.
        prior: p(z); a StandardNormal if None.
        posterior: q(z|x); a DiagonalNormal if None.
        likelihood: p(x|z); a Bernoulli if None.
        beta: weight of the KL term, a number or a Schedule of the training step.
        seed: of the draws z ~ q(z|x); training continues its random stream when reloaded.

    Raises:
        ConfigError: the parts do not meet.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        *,
        prior: Prior | None = None,
        posterior: Posterior | None = None,
        likelihood: Likelihood | None = None,
        beta: float | Schedule = 1.0,
        seed: int = 0,
        **kwargs,
    ):
        # The model computes likelihoods: it stays float32 and its networks keep their policies.
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.prior = StandardNormal(latent_dim_of(decoder)) if prior is None else prior
        self.posterior = DiagonalNormal() if posterior is None else posterior
        self.likelihood = Bernoulli() if likelihood is None else likelihood
        for name, kind in (("prior", Prior), ("posterior", Posterior), ("likelihood", Likelihood)):
            instance(name, getattr(self, name), kind)
        self.beta = as_schedule(beta)
        self.event_shape = check_halves(
            encoder, decoder, self.prior, self.posterior, self.likelihood
        )
        self.seed = whole("seed", seed, least=0) & 0x7FFFFFFF  # TFP's samplers take int32
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.trackers = {
            name: keras.metrics.Mean(name=name)
            for name in ("loss", "nll", "kl", "elbo", "beta", "regularization")
        }
        counter = {"shape": (), "initializer": "zeros", "dtype": "int64", "trainable": False}
        self._batches_evaluated = self.add_weight(name="batches_evaluated", **counter)
        self._first_bad_stage = self.add_weight(name="first_bad_stage", **counter)
        self.built = self.event_shape is not None

    def build(self, input_shape):
        """Marks the model as built; its networks build themselves when first called."""
        self.event_shape = tuple(input_shape[1:])
        self.built = True

    # The mathematics

    def encode(self, x, training: bool = False) -> tfd.Distribution:
        """Returns q(z|x), batch [B], event [L], of data `x` [B, *event]."""
        return self.posterior.distribution(self.encoder(tf.cast(x, tf.float32), training=training))

    def decode(self, z, training: bool = False) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event], of latents `z` [B, L]."""
        return self.likelihood.distribution(self.decoder(tf.cast(z, tf.float32), training=training))

    def call(self, x, sample_weight=None, seed=None, training: bool = False) -> Terms:
        """Returns the terms of the bound at one draw z ~ q(z|x), and adds beta * mean(kl) as loss.

        Args:
            x: data, [B, *event].
            sample_weight: [B] or None.
            seed: int32 [2] for a repeatable draw; the model's own random stream if None.
            training: passed on to the networks (dropout, batch normalization).
        """
        x = tf.cast(x, tf.float32)
        pz = self.prior.distribution()
        qz = self.encode(x, training)
        z = qz.sample(seed=self._next_seed() if seed is None else seed)
        params = self.decoder(z, training=training)
        kl = kl_divergence(qz, pz, z)
        px = self.likelihood.distribution(params)
        check_event(px, x)
        nll = negative_log_likelihood(px, x)
        self.add_loss(self._beta_now() * weighted_mean(kl, sample_weight))
        return Terms(nll, kl, all_finite(x, z, kl, params, nll))

    def _next_seed(self) -> tf.Tensor:
        return tf.cast(self.seed_generator.next(), tf.int32)  # TFP's samplers take int32

    def _beta_now(self) -> tf.Tensor:
        optimizer = getattr(self, "optimizer", None)  # Keras sets it in `compile`
        return self.beta(tf.convert_to_tensor(optimizer.iterations if optimizer else 0))

    # Keras's training loop

    def train_step(self, data) -> dict:
        """Returns the metrics after one gradient step on a batch."""
        x, sample_weight = inputs.unpack(data)
        with tf.GradientTape() as tape:
            terms = self(x, sample_weight=sample_weight, training=True)
            loss = self._loss_of(terms, sample_weight)
            scaled_loss = self.optimizer.scale_loss(loss)
        beta = self._beta_now()  # before the step counter moves on
        if self.trainable_weights:
            gradients = tape.gradient(scaled_loss, self.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self._note_first_bad_stage(terms)
        return self._metrics_after(terms, loss, beta, sample_weight)

    def test_step(self, data) -> dict:
        """Returns the metrics after one batch of evaluation; the same draws at every call."""
        x, sample_weight = inputs.unpack(data)
        self._batches_evaluated.assign_add(1)
        batch = tf.cast(tf.convert_to_tensor(self._batches_evaluated), tf.int32)
        seed = tf.stack([tf.constant(self.seed), -batch])  # training counts upwards
        terms = self(x, sample_weight=sample_weight, seed=seed, training=False)
        loss = self._loss_of(terms, sample_weight)
        return self._metrics_after(terms, loss, self._beta_now(), sample_weight)

    def predict_step(self, data):
        """Returns the reconstruction of a batch."""
        return self.reconstruct(inputs.unpack(data)[0])

    def _loss_of(self, terms: Terms, sample_weight) -> tf.Tensor:
        # self.losses: the KL term that `call` added, then the networks' regularizers
        return weighted_mean(terms.nll, sample_weight) + tf.add_n(self.losses)

    def _metrics_after(self, terms: Terms, loss, beta, sample_weight) -> dict:
        weighted_kl = weighted_mean(beta * terms.kl, sample_weight)
        penalty = loss - weighted_mean(terms.nll, sample_weight) - weighted_kl
        regularized = len(self.losses) > 1
        values = {
            "loss": terms.nll + beta * terms.kl + (penalty if regularized else 0.0),
            "nll": terms.nll,
            "kl": terms.kl,
            "elbo": -(terms.nll + terms.kl),
            "beta": beta * tf.ones_like(terms.kl),
        }
        if regularized:
            values["regularization"] = penalty * tf.ones_like(terms.kl)
        for name, value in values.items():
            self.trackers[name].update_state(value, sample_weight=sample_weight)
        return {name: self.trackers[name].result() for name in values}

    @property
    def metrics(self):
        """The running means that `fit` and `evaluate` report; Keras's own loss is left out."""
        return list(self.trackers.values())

    def reset_metrics(self):
        """Starts new means, and the draws of an evaluation from the first."""
        super().reset_metrics()
        self._batches_evaluated.assign(0)

    def _note_first_bad_stage(self, terms: Terms) -> None:
        bad = tf.argmin(tf.cast(terms.finite, tf.int8)) + 1
        known = tf.convert_to_tensor(self._first_bad_stage)
        first = (known == 0) & ~tf.reduce_all(terms.finite)
        self._first_bad_stage.assign(tf.where(first, bad, known))

    def compile(self, optimizer="adam", loss=None, loss_weights=None, metrics=None, **kwargs):
        """Configures training, as in Keras; loss and metrics are the model's own."""
        own = {"loss": loss, "loss_weights": loss_weights, "metrics": metrics}
        own["weighted_metrics"] = kwargs.pop("weighted_metrics", None)
        given = [name for name, value in own.items() if value is not None]
        if given:
            fix = "Drop it; give the VAE another `likelihood` or `beta` instead."
            raise ConfigError("A VAE brings its own loss and metrics", ", ".join(given), fix)
        optimizer = with_loss_scaling(optimizer, (self.encoder, self.decoder))
        super().compile(optimizer=optimizer, **kwargs)

    def compile_from_config(self, config: dict):
        """Compiles as the saved model was, and makes room for the optimizer's state."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        **kwargs,
    ):
        """Trains, as `keras.Model.fit` does, after a look at the data.

        Raises:
            DataError: the data are empty, not finite, of another shape, or outside the
                likelihood's support.
            NonFiniteError: training stopped because a term was no longer finite.
        """
        x = inputs.checked(x, self.event_shape, self.likelihood, "training")
        y = inputs.targets(x, y, kwargs.get("sample_weight"))
        if validation_data is not None:
            validation_data = inputs.checked_validation(
                validation_data, self.event_shape, self.likelihood
            )
        self._first_bad_stage.assign(0)
        return super().fit(
            x,
            y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=guarded(callbacks),
            validation_split=validation_split,
            validation_data=validation_data,
            **kwargs,
        )

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, **kwargs
    ):
        """Returns loss and metrics on `x`, as `keras.Model.evaluate` does."""
        if not kwargs.get("_use_cached_eval_dataset"):  # within fit, which has looked already
            x = inputs.checked(x, self.event_shape, self.likelihood, "evaluation")
        y = inputs.targets(x, y, sample_weight)
        values = super().evaluate(x, y, batch_size, verbose, sample_weight, **kwargs)
        return keras.tree.map_structure(float, values)  # Keras 3.12 returns tensors

    def export(self, *args, **kwargs):
        """Refuses: Keras would write one graph with every weight twice."""
        fix = "Call `vae_tf.export(vae, directory)`."
        raise ConfigError("A VAE is exported as two halves", "vae.export(...)", fix)

    # Saving

    def save_own_variables(self, store):
        """Saves the model's own state, the random state of its networks included."""
        super().save_own_variables(store)
        save_seed_states(self, store)

    def load_own_variables(self, store):
        """Restores what `save_own_variables` saved."""
        super().load_own_variables(load_seed_states(self, store))

    def get_config(self) -> dict:
        """Returns the constructor's arguments, serialized."""
        parts = ("encoder", "decoder", "prior", "posterior", "likelihood", "beta")
        config = {p: keras.saving.serialize_keras_object(getattr(self, p)) for p in parts}
        return {**config, "seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict, custom_objects=None) -> "VAE":
        """Returns the model that `get_config` described, with fresh weights."""
        parts = {
            key: keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)
            if isinstance(value, dict)
            else value
            for key, value in config.items()
        }
        return cls(**parts)
