"""The variational autoencoder of Kingma and Welling (2014), as a Keras model."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import whole
from vae_tf.distributions.likelihoods.base import Likelihood
from vae_tf.distributions.likelihoods.binary import Bernoulli
from vae_tf.distributions.posteriors.base import Posterior
from vae_tf.distributions.posteriors.normal import DiagonalNormal
from vae_tf.distributions.priors.base import Prior
from vae_tf.distributions.priors.normal import StandardNormal
from vae_tf.errors import ConfigError
from vae_tf.models import inputs
from vae_tf.models.audit import Audit, audit
from vae_tf.models.compatibility import check_closed_form, check_parts, listed
from vae_tf.models.generation import Generation
from vae_tf.models.problems import problem
from vae_tf.models.randomness import load_seed_states, save_seed_states
from vae_tf.models.shapes import check_event, check_halves, latent_dim_of
from vae_tf.models.training import Training
from vae_tf.objectives import replicas
from vae_tf.objectives.base import Inference, Objective, Terms
from vae_tf.objectives.elbo import ELBO
from vae_tf.objectives.kl_controls import KLControl
from vae_tf.objectives.penalties.base import Penalty
from vae_tf.objectives.schedules import Schedule, as_schedule
from vae_tf.objectives.terms import negative_log_likelihood, weighted_mean


@keras.saving.register_keras_serializable(package="vae_tf")
class VAE(Generation, Training):
    """An encoder q(z|x) and a decoder p(x|z), trained on loss = mean(nll) + beta * mean(kl).

    `fit` and `evaluate` report, in nats per example: `loss`; `nll`, `kl`, its parts; `elbo` =
    -(nll + kl), free of beta; `bound` where the objective's is another one; `beta`;
    `regularization`, the sum of penalties and of the networks' regularizers, where there are
    any. They take arrays, `tf.data`, `(x,)`, `(x, y)` and `(x, y, sample_weight)`; `y` is not
    used. Means are weighted by `sample_weight`.

    Args:
        encoder: a Keras model, data [B, *event] to the posterior's parameters.
        decoder: a Keras model, latents [B, L] to the likelihood's parameters.
        prior: p(z); a StandardNormal if None.
        posterior: q(z|x); a DiagonalNormal if None.
        likelihood: p(x|z); a Bernoulli if None.
        objective: the bound and its gradient's estimator; the ELBO with one draw if None.
        beta: weight of the KL term, a number or a Schedule.
        kl_control: another KL term than beta * kl, such as FreeBits.
        penalties: terms beside the bound, such as TotalCorrelation.
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
        objective: Objective | None = None,
        beta: float | Schedule = 1.0,
        kl_control: KLControl | None = None,
        penalties: Sequence[Penalty] = (),
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
        self.objective = ELBO() if objective is None else objective
        self.beta, self.kl_control = as_schedule(beta), kl_control
        self.penalties = listed(penalties)
        check_parts(self)
        self.event_shape = check_halves(
            encoder, decoder, self.prior, self.posterior, self.likelihood
        )
        self.seed = whole("seed", seed, least=0) & 0x7FFFFFFF  # TFP's samplers take int32
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self._make_state()
        self.prior.bind(self.encode)
        check_closed_form(self)
        self.built = self.event_shape is not None

    def build(self, input_shape):
        """Marks the model as built; its networks build themselves when first called."""
        self.event_shape = tuple(input_shape[1:])
        self.built = True

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """All that changes with training time."""
        return (self.beta, *(self.kl_control.schedules if self.kl_control else ()))

    @property
    def warming_up(self) -> bool:
        """Whether a schedule has not reached its last value yet; ask between steps."""
        return not all(self.clock.has_reached_the_end_of(s) for s in self.schedules)

    def encode(self, x, training: bool = False) -> tfd.Distribution:
        """Returns q(z|x), batch [B], event [L], of data `x` [B, *event]."""
        x = inputs.batch(x, self.event_shape, "data to encode")
        direct = training or not tf.executing_eagerly()
        params = self.encoder(x, training=training) if direct else self._encoded(x)
        return self.posterior.distribution(params)

    def decode(self, z, training: bool = False) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event], of latents `z` [B, L]."""
        z = inputs.batch(z, (self.prior.latent_dim,), "latents to decode")
        direct = training or not tf.executing_eagerly()
        params = self.decoder(z, training=training) if direct else self._decoded(z)
        return self.likelihood.distribution(params)

    def call(self, x, sample_weight=None, seed=None, training: bool = False) -> Terms:
        """Returns the terms of the bound at draws z ~ q(z|x), and adds the KL term as a loss.

        Args:
            x: data, [B, *event].
            sample_weight: [B] or None.
            seed: int32 [2] for a repeatable draw, which leaves no trace; if None, the model's own
                random stream, and the clock of its schedules, go on.
            training: passed on to the networks (dropout, batch normalization).
        """
        x = tf.cast(x, tf.float32)
        decoder_outputs: list = []  # for `problem`
        extra: list = []  # what layers and regularizers add to the loss

        def log_px(z):
            params = self.decoder(tf.reshape(z, [-1, z.shape[-1]]), training=training)
            decoder_outputs.append(params)
            # Now: Keras keeps one list, and replicas take turns at each sum over them
            extra[:] = self.losses
            px = self.likelihood.distribution(params)
            check_event(px, x)
            draws = z.shape[0]
            repeated = x if draws == 1 else tf.tile(x, [draws] + [1] * (x.shape.rank - 1))
            return -tf.reshape(negative_log_likelihood(px, repeated), [draws, -1])

        beta = self.clock.now(self.beta)
        inference = Inference(
            x,
            qz=self.encode(x, training),
            pz=self.prior.distribution(),
            log_px=log_px,
            seed=self._next_seed() if seed is None else seed,
            beta=beta,
            now=self.clock.now,
            sample_weight=sample_weight,
            training=training,
            kl_control=self.kl_control,
            level="total" if self.kl_control is None else self.kl_control.level,
        )
        terms = self.objective.estimate(inference)
        self.add_loss(weighted_mean(terms.kl_term, sample_weight))
        for penalty in self.penalties:
            extra.append(penalty.penalty(terms.z[0], inference))
            self.add_loss(extra[-1])
        found = problem(
            self.likelihood, x, sample_weight, terms.z, terms.kl, decoder_outputs, terms.nll
        )
        if training and seed is None:
            self.clock.warn_outside_epochs(self.schedules)
            self.clock.tick()
        added = tf.add_n(extra) if extra else None
        return terms._replace(beta=beta, extra=added, problem=found)

    def check(
        self,
        data,
        num_examples: int = 32,
        seed: int = 0,
        print_fn: Callable[[str], object] | None = print,
    ) -> Audit:
        """Returns an audit of the model at `data`, and prints its table; the model stays as it is.

        It asks whether shapes meet, the data suit the likelihood, log p(x|z) is a density, the
        KL is what draws say, examples are independent of their batch, gradients reach every
        variable, and more. It raises nothing: a check that cannot be made has failed.

        Args:
            data: an array [N, *event], or a `tf.data.Dataset`, whose first batch is looked at.
            num_examples: the first examples, with which all is computed.
            seed: of the draws; the same seed gives the same table.
            print_fn: takes the table; None for no printing.
        """
        return audit(self, data, num_examples, seed, print_fn)

    def _next_seed(self) -> tf.Tensor:
        # TFP's samplers take int32
        return replicas.own_seed(tf.cast(self.seed_generator.next(), tf.int32))

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
        serialize = keras.saving.serialize_keras_object
        parts = ("encoder", "decoder", "prior", "posterior", "likelihood", "objective", "beta")
        config = {part: serialize(getattr(self, part)) for part in parts}
        config["kl_control"] = self.kl_control and serialize(self.kl_control)
        config["penalties"] = [serialize(penalty) for penalty in self.penalties]
        return {**config, "seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict, custom_objects=None) -> "VAE":
        """Returns the model that `get_config` described, with fresh weights."""

        def restored(value):
            if isinstance(value, list):
                return [restored(member) for member in value]
            if not isinstance(value, dict):
                return value
            return keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)

        return cls(**{key: restored(value) for key, value in config.items()})
