"""The variational autoencoder of Kingma and Welling (2014), as a Keras model."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import whole
from vae_tf.data.batch import Batch, kept
from vae_tf.errors import ConfigError
from vae_tf.models.audit import Audit, audit
from vae_tf.models.gaps import Gaps
from vae_tf.models.inputs import is_stream, vectors
from vae_tf.models.problems import problem
from vae_tf.objectives import replicas
from vae_tf.objectives.base import Inference, Terms
from vae_tf.objectives.terms import replica_mean

ROWS = 256  # of arrays that are encoded batch by batch beside a stream's


@keras.saving.register_keras_serializable(package="vae_tf")
class VAE(Gaps):
    """An encoder q(z|x) and a decoder p(x|z), trained on loss = mean(nll) + beta * mean(kl).

    `fit` and `evaluate` report `beta` and, in nats per example: `loss`; its parts `nll` and `kl`;
    `elbo` = -(nll + kl), free of beta; `bound`, if the objective has another; `regularization`, if
    there are penalties or the networks have regularizers. `sample_weight` weights the means.

    Every method takes data in the same forms: an array x; (x, y) or (x, y, sample_weight); a dict
    with the keys x, mask, condition, label, weight; a `tf.data.Dataset`, a generator or a
    `PyDataset` of these. A network is given the fields that its inputs are named after: x, mask,
    condition, z. If a network takes a condition, y is the condition; otherwise y is not used. With
    a SemiSupervised objective y is the label, -1 where unknown, and the condition, unless it is
    given, is the label or else the most probable class.

    Args:
        encoder: a Keras model, data [B, *event] to the posterior's parameters.
        decoder: a Keras model, latents [B, L] to the likelihood's parameters.
        prior: p(z), or p(z|c); a StandardNormal if None.
        posterior: q(z|x); a DiagonalNormal if None.
        likelihood: p(x|z); a Bernoulli if None.
        objective: the bound and the estimator of its gradient; the ELBO with one draw if None.
        beta: weight of the KL term, a number or a Schedule.
        kl_control: a KL term in place of beta * kl, such as FreeBits.
        penalties: terms beside the bound, such as TotalCorrelation.
        missing: "nan" if NaN in x stands for a missing value, in every method; None if a `mask`
            tells what is missing, and NaN is refused.
        seed: seed of the draws z ~ q(z|x); a reloaded model continues its random stream.

    Raises:
        ConfigError: the parts do not fit each other.

    Example:
        >>> networks, likelihood = vae_tf.networks, vae_tf.likelihoods.Bernoulli()
        >>> encoder = networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = networks.mlp_decoder(2, likelihood.parameter_shapes((8,)))
        >>> vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood)
        >>> vae.compile(keras.optimizers.Adam(1e-3))  # vae.fit(x, epochs=10)
        >>> x = np.eye(8)
        >>> vae.encode(x).mean().shape.as_list(), vae.sample(5, seed=0).shape.as_list()
        ([8, 2], [5, 8])
    """

    def __call__(self, *args, **kwargs):
        """Returns the terms of the bound; see `call`."""
        if any(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(args)):
            fix = "Call its encoder or its decoder, or pass data."
            raise ConfigError("A VAE is no layer of another model", "a symbolic input", fix)
        if replicas.count() > 1 and kwargs.get("first") is None:
            # Here, for replicas take turns at it, and `call` reads losses that they share
            kwargs["first"] = replicas.examples_before(args[0] if args else kwargs["data"])
        return super().__call__(*args, **kwargs)

    def call(self, data, seed=None, first=None, training: bool = False) -> Terms:
        """Returns the terms of the bound at draws z ~ q(z|x), and adds the KL term as a loss.

        Args:
            data: one batch, in any form but a stream.
            seed: int32 [2] for repeatable draws, which leave the model as it is. If None, the
                model's own random stream and the clock of its schedules advance.
            first: number of the first example among all, int64, so that each example has its own
                draws whatever the batch. If None, draws depend on the place in the batch of all
                replicas.
            training: passed on to the networks (dropout, batch normalization).
        """
        batch = self.door.parse(data).tensors()
        if self.event_shape is None:
            self.event_shape = tuple(batch.x.shape[1:])
        examples = self.objective.examples(batch)
        decoder_outputs: list = []  # for `problem`
        extra: list = []  # what layers and regularizers add to the loss

        def log_px(z):
            value = self.parts.log_px(z, examples, training, decoder_outputs)
            # Now: Keras keeps one list, and replicas take turns at each sum over them
            extra[:] = self.losses
            return value

        of_the_stream, own_seed = seed is None, seed
        if of_the_stream:  # one for all replicas, whose draws differ by their examples
            seed = tf.cast(self.seed_generator.next(), tf.int32)
            own_seed = replicas.own_seed(seed)
        at_once = own_seed if of_the_stream or first is None else None
        beta, params = self.beta_now(), self.parts.encoded(examples, training)

        def draws(num_samples: int) -> tuple[tfd.Distribution, tf.Tensor]:
            position = num_samples * self.objective.copies * (0 if first is None else first)
            own = (num_samples, self.prior.latent_dim, seed, position, at_once)
            return self.posterior.drawn(params, *own)

        qz, z = draws(self.objective.num_samples)
        inference = Inference(
            examples,
            qz=qz,
            pz=self.parts.p(examples),
            log_px=log_px,
            seed=own_seed,
            beta=beta,
            now=self.clock.now,
            # qz keeps what it knows of its own draws, such as the density behind a flow
            drawn=lambda count: z if count == self.objective.num_samples else draws(count)[1],
            training=training,
            kl_control=self.kl_control,
            level="total" if self.kl_control is None else self.kl_control.level,
        )
        terms = self.objective.estimate(inference)
        self.add_loss(replica_mean(terms.kl_term, batch.weight))
        for penalty in self.penalties:
            extra.append(penalty.penalty(terms.z[0], inference))
            self.add_loss(extra[-1])
        found = problem(self.parts, batch, terms.z, terms.kl, decoder_outputs, terms.nll)
        if training and of_the_stream:
            self.clock.warn_outside_epochs(self.schedules)
            self.clock.tick(batch.x)
        added = tf.add_n(extra) if extra else None
        if extra and batch.weight is not None:
            # A mean over the replicas' parts of the batch; one example without weight is a filler
            filler = (tf.size(batch.weight) == 1) & (tf.reduce_sum(batch.weight) == 0)
            rows = tf.where(filler, 0.0, tf.cast(tf.size(batch.weight), tf.float32))
            added = replicas.mean(added, rows)
        return terms._replace(beta=beta, extra=added, problem=found)

    def encode(self, data, condition=None, training: bool = False) -> tfd.Distribution:
        """Returns q(z|x, c), batch [B], event [L], of data in any form.

        Args:
            data: examples [B, *event], alone or with other fields.
            condition: a condition in place of that of the data.
            training: passed on to the encoder.

        Example:
            >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
            >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
            >>> vae = vae_tf.VAE(encoder, decoder)
            >>> qz = vae.encode(np.eye(8))
            >>> qz.mean().shape.as_list(), qz.stddev().shape.as_list()
            ([8, 2], [8, 2])
        """
        if is_stream(data):
            batches = self.door.batches(data, ROWS, "data to encode", condition)
            outputs = [self.generator.encoded(batch) for batch in batches]
            params = keras.tree.map_structure(lambda *parts: tf.concat(parts, 0), *outputs)
        else:
            batch = self.door.batch(data, "data to encode", condition)
            if training or not tf.executing_eagerly():
                return self.parts.q(batch.tensors(), training)
            params = self.generator.encoded(batch)
        return self.posterior.distribution(params)

    def classify(self, data) -> tf.Tensor:
        """Returns q(y|x), the probability of each class, [B, K], of data in any form.

        Raises:
            ConfigError: the model has no classifier.
        """
        if self.parts.classifier is None:
            fix = "Give it objective=SemiSupervised(classifier)."
            raise ConfigError("A model that classifies must have a classifier", "none", fix)
        given = self.door.batches(data, ROWS, "data to classify") if is_stream(data) else [data]
        batches = [self.door.batch(one, "data to classify") for one in given]
        return tf.concat([self.generator.classified(batch) for batch in batches], 0)

    def decode(self, z, condition=None, training: bool = False) -> tfd.Distribution:
        """Returns p(x|z, c), batch [B], event [*event], of latents `z` [B, L].

        Args:
            z: latents.
            condition: one entry for each row, where the model takes one.
            training: passed on to the decoder.

        Example:
            >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
            >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
            >>> vae = vae_tf.VAE(encoder, decoder)
            >>> px = vae.decode(np.zeros((3, 2)))
            >>> px.mean().shape.as_list(), px.log_prob(np.ones((3, 8))).shape.as_list()
            ([3, 8], [3])
        """
        z = vectors(z, self.prior.latent_dim, "latents to decode")
        given = self._given(condition, z)
        if training or not tf.executing_eagerly():
            return self.parts.px(z, given, training)
        return self.likelihood.distribution(self.generator.decoded(z, given))

    def sample(
        self, num_samples: int, seed: int | None = None, condition=None, temperature=None
    ) -> tf.Tensor:
        """Returns E[x|z, c] for `num_samples` draws z ~ p(z|c), [num_samples, *event].

        Args:
            num_samples: number of samples.
            seed: seed of the draws; if None, the model's random stream.
            condition: one entry for each sample. If it is a label, None draws classes y ~ p(y).
            temperature: factor on the prior's normal noise, or one for each group, the top first.
                Below 1, samples differ less. None is 1, with other draws.

        Example:
            >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
            >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
            >>> vae = vae_tf.VAE(encoder, decoder)
            >>> images = vae.sample(5, seed=0)
            >>> images.shape.as_list(), np.array_equal(images, vae.sample(5, seed=0))
            ([5, 8], True)
        """
        rows = whole("num_samples", num_samples, least=0)
        key = self.next_seed() if seed is None else tf.constant([seed, 0], tf.int32)
        if condition is None and self.parts.classifier is not None:
            condition = self.objective.drawn(rows, tf.random.experimental.stateless_fold_in(key, 1))
        given = self._given(condition, tf.zeros([rows, 1]))
        if temperature is None:
            z = self.generator.drawn(key, tf.constant(rows), given)
        else:
            factors = tf.constant(self.parts.temperatures(temperature))
            z = self.generator.heated(key, tf.constant(rows), given, factors)
        return self.generator.image(z, given)

    def reconstruct(self, data, condition=None, shown=None) -> tf.Tensor:
        """Returns E[x|z, c] at the point of q(z|x, c), mostly its mean, [B, *event].

        Args:
            data: examples in any form.
            condition: a condition in place of that of the data.
            shown: a condition for the decoder alone: the style of x under another label.

        Example:
            >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
            >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
            >>> vae = vae_tf.VAE(encoder, decoder)
            >>> vae.reconstruct(np.eye(8)).shape.as_list()
            [8, 8]
        """
        if not is_stream(data):
            batch = self.door.batch(data, "data to reconstruct", condition)
            return self._reconstructed(batch, shown)
        images, done, decoded = [], 0, Batch(None, condition=kept(shown))
        for batch in self.door.batches(data, ROWS, "data to reconstruct", condition):
            rows = slice(done, done + len(batch.x))
            images.append(self._reconstructed(batch, decoded.rows(rows).condition))
            done = rows.stop
        if shown is not None:
            self.door.condition(shown, done)  # as many as there were
        return tf.concat(images, 0)

    def _reconstructed(self, batch: Batch, shown) -> tf.Tensor:
        z = self.generator.code(batch)
        if shown is not None:
            batch = batch._replace(condition=self.door.condition(shown, len(z)))
        return self.generator.image(z, self.parts.for_decoder(z, batch))

    def interpolate(self, a, b, steps: int = 8, condition=None) -> tf.Tensor:
        """Returns images on the straight line between the codes of `a` and `b`.

        Args:
            a: one example [*event], or a batch [B, *event].
            b: one example or a batch, as `a`.
            steps: number of images, both ends included; at least 2.
            condition: condition of each pair, [B, ...] or [1, ...], the same along its path.

        Returns:
            [steps, *event] for single examples, [B, steps, *event] for batches.

        Example:
            >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
            >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
            >>> vae = vae_tf.VAE(encoder, decoder)
            >>> a, b = np.zeros((3, 8)), np.ones((3, 8))
            >>> path = vae.interpolate(a, b, steps=5)
            >>> path.shape.as_list(), np.allclose(path[:, 0], vae.reconstruct(a))
            ([3, 5, 8], True)
        """
        steps = whole("steps", steps, least=2)
        a, b = np.asarray(a, "float32"), np.asarray(b, "float32")
        rank = None if self.event_shape is None else len(self.event_shape)
        if a.shape != b.shape or rank not in (None, a.ndim, a.ndim - 1):
            fix = f"Pass two examples {self.event_shape} or two batches of them."
            raise ConfigError("`a` and `b` must have one shape", f"{a.shape} and {b.shape}", fix)
        single = a.ndim == rank
        ends = [x[None] if single else x for x in (a, b)]
        batches = [self.door.batch(x, "data to interpolate", condition) for x in ends]
        z = [self.generator.code(batch) for batch in batches]
        weight = tf.linspace(0.0, 1.0, steps)[:, None]
        path = (1 - weight) * z[0][:, None] + weight * z[1][:, None]  # [B, steps, L]
        given = keras.tree.map_structure(
            lambda part: None if part is None else tf.repeat(part, steps, 0), batches[0]
        )
        path = tf.reshape(path, [-1, path.shape[-1]])
        images = self.generator.image(path, self.parts.for_decoder(path, given))
        images = tf.reshape(images, [-1, steps, *images.shape[1:]])
        return images[0] if single else images

    def _given(self, condition, z) -> Batch:
        """Returns a Batch without data, for what is generated."""
        if not tf.executing_eagerly():
            return Batch(z, condition=condition)
        return Batch(z, condition=self.door.condition(condition, len(z)))

    def check(
        self,
        data,
        num_examples: int = 32,
        seed: int = 0,
        print_fn: Callable[[str], object] | None = print,
    ) -> Audit:
        """Returns an audit of the model at `data`, and prints its table; the model stays as it is.

        It asks whether shapes fit, the data suit the likelihood, log p(x|z) is a density, the KL
        agrees with draws, examples are independent of their batch, gradients reach every variable,
        and more. It raises nothing: a check that cannot be made has failed.

        Args:
            data: examples in any form; of a stream the first batch is looked at.
            num_examples: number of examples to check, the first ones of the data.
            seed: seed of the draws; the same seed gives the same table.
            print_fn: a function that is given the table; None for no printing.

        Example:
            >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
            >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
            >>> vae = vae_tf.VAE(encoder, decoder)
            >>> audit = vae.check(np.eye(8), print_fn=None)
            >>> audit.ok, audit["density"].status
            (True, 'ok')
        """
        return audit(self, data, num_examples, seed, print_fn)

    def next_seed(self) -> tf.Tensor:
        """Returns the next seed of the model's random stream, int32 [2]; of a replica its own."""
        # TFP's samplers take int32
        return replicas.own_seed(tf.cast(self.seed_generator.next(), tf.int32))

    def export(self, *args, **kwargs):
        """Refuses: Keras would write one graph with every weight twice."""
        fix = "Call `vae_tf.export(vae, directory)`."
        raise ConfigError("A VAE is exported as two halves", "vae.export(...)", fix)
