"""The five parts of a model as one value, and the densities they make."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import real
from vae_tf.data.batch import Batch
from vae_tf.distributions.likelihoods.base import Likelihood
from vae_tf.distributions.posteriors.base import Posterior
from vae_tf.distributions.priors.base import Prior
from vae_tf.errors import ConfigError
from vae_tf.models.shapes import check_event
from vae_tf.objectives.terms import groups_of, log_ratio
from vae_tf.wiring import Wiring, num_classes

NAMES = ("encoder", "decoder", "prior", "posterior", "likelihood")


@dataclass(frozen=True, eq=False)
class Parts:
    """An encoder, a decoder and what their outputs mean: q(z|x, c), p(z|c) and p(x|z, c).

    Every density of a model is computed here: training, evaluation and exports take this one
    container, so a mask or a condition reaches all of them or none.

    Attributes:
        encoder: a Keras model, fields of a batch to the posterior's parameters.
        decoder: a Keras model, latents z [B, L], and fields, to the likelihood's parameters.
        prior: p(z), or p(z|c).
        posterior: q(z|x).
        likelihood: p(x|z).
        classifier: the objective that holds q(y|x), where the condition is a class that is known
            of some examples alone; None for other models.
    """

    encoder: keras.Model
    decoder: keras.Model
    prior: Prior
    posterior: Posterior
    likelihood: Likelihood
    classifier: Any = None

    @functools.cached_property
    def encoder_wiring(self) -> Wiring:
        """How the encoder is fed."""
        return Wiring(self.encoder, "encoder", main="x")

    @functools.cached_property
    def decoder_wiring(self) -> Wiring:
        """How the decoder is fed."""
        return Wiring(self.decoder, "decoder", main="z")

    @functools.cached_property
    def wirings(self) -> tuple[Wiring, ...]:
        """How all networks are fed: encoder, decoder, and a conditional prior's."""
        own = (self.prior.wiring,) if hasattr(self.prior, "wiring") else ()
        return (self.encoder_wiring, self.decoder_wiring, *own)

    @functools.cached_property
    def conditional(self) -> bool:
        """Whether a part depends on a condition."""
        return self.prior.conditional or any(wiring.takes_condition for wiring in self.wirings)

    @functools.cached_property
    def conditions(self) -> set[str]:
        """The names of the networks' inputs that are the condition, or parts of it."""
        return {name for wiring in self.wirings for name in wiring.conditions}

    @functools.cached_property
    def num_classes(self) -> dict[str, int]:
        """The number of classes of each condition, by its name, that integers may stand for."""
        found = {name: num_classes(self.wirings, name) for name in self.conditions}
        return {name: number for name, number in found.items() if number is not None}

    def encoded(self, batch: Batch, training: bool = False) -> Any:
        """Returns the encoder's outputs, the posterior's parameters.

        To an encoder that sees the mask, data without one are complete.
        """
        fields = self.told(batch).present()
        if "mask" in self.encoder_wiring.names and batch.mask is None:
            fields["mask"] = tf.ones_like(batch.x)
        return self.encoder_wiring(fields, training)

    def decoded(self, z: tf.Tensor, batch: Batch, training: bool = False) -> Any:
        """Returns the decoder's outputs, the likelihood's parameters, for z [B, L]."""
        return self.decoder_wiring({**self.told(batch).present(), "z": z}, training)

    def told(self, batch: Batch) -> Batch:
        """Returns the batch with a condition, if a classifier has to say what it is."""
        if self.classifier is None or batch.condition is not None:
            return batch
        return self.classifier.told(batch)

    def for_decoder(self, z: tf.Tensor, batch: Batch) -> Batch:
        """Returns what of a batch the decoder takes: without the data, if it is z alone and c.

        So one graph serves draws and reconstructions, whatever the rank of the data.
        """
        to_be_told = self.classifier is not None and batch.condition is None
        if to_be_told or {"x", "mask"} & set(self.decoder_wiring.names):
            return batch
        return Batch(z, condition=batch.condition)

    def q(self, batch: Batch, training: bool = False) -> tfd.Distribution:
        """Returns the posterior of z, batch [B], event [L]."""
        return self.posterior.distribution(self.encoded(batch, training))

    def bind(self) -> None:
        """Gives q(z|x) to a prior that is made of it, and the prior to such a posterior."""
        self.prior.bind(lambda x: self.q(Batch(x)))
        self.posterior.bind(self.prior)

    def p(self, batch: Batch | None = None) -> tfd.Distribution:
        """Returns the prior of z, batch [], or [B] where it is conditional; event [L]."""
        self.bind()  # each time, as a prior made of q(z|x) may be a part of several models
        if self.prior.conditional:
            condition = None if batch is None else self.told(batch).condition
            return self.prior.distribution(condition)  # type: ignore[call-arg]
        return self.prior.distribution()

    def drawn(
        self, normal: tf.Tensor, uniform: tf.Tensor, batch: Batch, temperature: tf.Tensor
    ) -> tf.Tensor:
        """Returns z ~ p(z|c), [B, L], by the prior's own way from noise.

        Args:
            normal: draws of N(0, 1), [B, L].
            uniform: draws of U(0, 1), [B].
            batch: whose condition counts.
            temperature: factors on the normal noise, [L].

        Raises:
            ConfigError: a prior that knows no such way.
        """
        given = (batch.condition,) if self.prior.conditional else ()
        z = self.prior.from_noise(temperature * normal, uniform, *given)
        if z is None:
            name = type(self.prior).__name__
            fix = "Leave the temperature out, or give the prior a `from_noise`."
            raise ConfigError("A temperature needs a prior that draws from noise", name, fix)
        return z

    def temperatures(self, value) -> np.ndarray:
        """Returns the factor on the noise of each latent, [L], of one number or one for each group.

        Raises:
            ConfigError: something else, or a number below 0.
        """
        sizes = self.prior.group_sizes
        given = value if isinstance(value, (list, tuple, np.ndarray)) else [value] * len(sizes)
        if len(given) != len(sizes):
            fix = f"Pass one number, or {len(sizes)}, the top first."
            expected = f"`temperature` must have a number for each of {len(sizes)} groups"
            raise ConfigError(expected, f"{len(given)} of them", fix)
        return np.repeat([real("temperature", t, positive=False) for t in given], sizes).astype(
            "float32"
        )

    def px(self, z: tf.Tensor, batch: Batch, training: bool = False) -> tfd.Distribution:
        """Returns p(x|z, c), batch [B], event [*event], for z [B, L]."""
        return self.likelihood.distribution(self.decoded(z, batch, training))

    def log_px(
        self, z: tf.Tensor, batch: Batch, training: bool = False, outputs: list | None = None
    ) -> tf.Tensor:
        """Returns log p(x|z, c) of what was observed, [S, B], in nats, for draws z [S, B, L].

        Args:
            z: draws for each example.
            batch: the examples.
            training: passed on to the decoder.
            outputs: a list that takes the decoder's outputs, for whoever looks at them.
        """
        draws = z.shape[0] if z.shape[0] is not None else tf.shape(z)[0]
        flat = tf.reshape(z, [-1, z.shape[-1]])
        repeated = self.told(batch).repeated(draws)
        params = self.decoded(flat, repeated, training)
        if outputs is not None:
            outputs.append(params)
        px = self.likelihood.distribution(params)
        check_event(px, repeated.x)
        if repeated.mask is None:
            log_px = px.log_prob(repeated.x)
        else:
            log_px = self.likelihood.log_prob(params, repeated.x, repeated.mask)
        return tf.reshape(log_px, [draws, -1])

    def log_weights(
        self,
        z: tf.Tensor,
        batch: Batch,
        qz: tfd.Distribution | None = None,
        outputs: list | None = None,
    ) -> tf.Tensor:
        """Returns log w = log p(x, z|c) - log q(z|x, c) of draws z ~ q [S, B, L], [S, B], in nats.

        Args:
            z: draws for each example.
            batch: the examples.
            qz: q(z|x, c) of them, where it is known already.
            outputs: a list that takes the decoder's outputs, as for `log_px`.
        """
        qz = self.q(batch) if qz is None else qz
        log_px = self.log_px(z, batch, outputs=outputs)
        return log_px + log_ratio(groups_of(qz, self.p(batch), z))

    def point(self, batch: Batch) -> tf.Tensor:
        """Returns the z that stands for q(z|x, c), its mean mostly, [B, L]."""
        return self.posterior.point(self.encoded(batch))

    def image(self, z: tf.Tensor, batch: Batch) -> tf.Tensor:
        """Returns E[x|z, c], or what else the likelihood shows of it, [B, *event]."""
        return self.likelihood.statistics(self.decoded(z, batch))["image"]

    def classes(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor] | None:
        """Returns the classes [n] in a condition, and which exist; None if there are none.

        Of a dict of conditions those of one after the other; where a classifier stands for the
        condition, the labels.
        """
        if self.classifier is not None and batch.condition is None and batch.label is not None:
            label = tf.reshape(tf.cast(batch.label, tf.float32), [-1])
            below = label < self.classifier.num_classes
            return label, below & (label >= -1) & (label == tf.round(label))
        condition = batch.condition
        named = condition if isinstance(condition, Mapping) else {"condition": condition}
        found, exist = [], []
        for name, number in self.num_classes.items():
            values = named.get(name)
            if tf.is_tensor(values) and _is_classes(values):
                values = tf.reshape(tf.cast(values, tf.float32), [-1])
                found.append(values)
                exist.append((values >= 0) & (values < number) & (values == tf.round(values)))
        return (tf.concat(found, 0), tf.concat(exist, 0)) if found else None


def _is_classes(values: tf.Tensor) -> bool:
    rank = values.shape.rank
    return rank == 1 or (rank == 2 and values.shape[1] == 1)
