"""What the codec takes of a model: three graphs, and a name by which the model is known again."""

import hashlib
import json

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.data.batch import Batch
from vae_tf.distributions.likelihoods.alphabets import Alphabet
from vae_tf.distributions.normal_mixture import NormalMixture
from vae_tf.distributions.posteriors.normal import DiagonalNormal
from vae_tf.errors import CodecError
from vae_tf.models import VAE
from vae_tf.models.parts import Parts
from vae_tf.signatures.endpoint import Endpoint, Input

PARTS = ("encoder", "decoder", "prior", "posterior", "likelihood")


def event_shape_of(vae: VAE) -> tuple[int, ...]:
    """Returns the shape of the model's data.

    Raises:
        CodecError: it has a side that is open.
    """
    shape = vae.event_shape
    if shape is None or None in shape:
        fix = "Fit the model, or give its encoder a whole input shape."
        raise CodecError("The codec takes data of one shape", shape, fix)
    return tuple(side for side in shape if side is not None)


def alphabet_of(vae: VAE) -> Alphabet:
    """Returns the values that the model's data may have.

    Raises:
        CodecError: the model has no such alphabet, or parts that cannot be coded with.
    """
    parts, shape = vae.parts, event_shape_of(vae)
    if parts.conditional:
        fix = "Train a model without a condition."
        raise CodecError("The codec takes models without a condition", "a conditional one", fix)
    if {"x", "mask"} & set(parts.decoder_wiring.names):
        fix = "Pass a decoder of z alone."
        raise CodecError("The codec decodes all of x at once", "a decoder that takes x", fix)
    if not isinstance(parts.posterior, DiagonalNormal):
        fix = "Train with --posterior diagonal."
        received = type(parts.posterior).__name__
        raise CodecError("The codec needs a DiagonalNormal posterior", received, fix)
    if _normal_or_mixture(parts) is None:
        fix = "Train with --prior normal, learned-normal, mixture or vamp."
        received = type(parts.prior).__name__
        raise CodecError("The codec takes priors that are mixtures of normals", received, fix)
    alphabet = parts.likelihood.alphabet(shape)
    if alphabet is None:
        fix = "Train with --likelihood bernoulli or discretized-logistic."
        received = f"{type(parts.likelihood).__name__} of {shape}"
        expected = "The codec takes discrete likelihoods of independent elements, with an alphabet"
        raise CodecError(expected, received, fix)
    return alphabet


def _normal_or_mixture(parts: Parts) -> tfd.Distribution | None:
    """Returns p(z) if it is a diagonal normal or a mixture of them."""
    pz = parts.p()
    normal = parts.prior.factorized and isinstance(pz.distribution, tfd.Normal)
    return pz if normal or isinstance(pz, NormalMixture) else None


def _components(parts: Parts) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns p(z) as a mixture: weights [K], means [K, L] and scales [K, L]."""
    pz = _normal_or_mixture(parts)
    assert pz is not None
    if isinstance(pz, NormalMixture):
        inside = pz.components_distribution.distribution
        return tf.nn.softmax(pz.mixture_distribution.logits), inside.loc, inside.scale
    inside, shape = pz.distribution, (1, parts.prior.latent_dim)
    loc, scale = (tf.broadcast_to(value, shape) for value in (inside.loc, inside.scale))
    return tf.ones([1]), loc, scale


def endpoints_of(vae: VAE, alphabet: Alphabet) -> list[Endpoint]:
    """Returns the questions that compression and decompression ask of the networks.

    `prior` gives the numbers of p(z) for any `row` [1]; `encode` the `loc` and `scale` of q(z|x),
    [B, L]; `decode` what the alphabet's masses are made of, and p(component|z) as `component`
    [B, 1, K], of the prior's components.
    """
    parts, latent_dim = vae.parts, vae.prior.latent_dim

    def prior(row: tf.Tensor) -> dict[str, tf.Tensor]:
        weights, loc, scale = _components(parts)
        centre = tf.reduce_sum(weights[:, None] * loc, 0)
        square = tf.square(scale) + tf.square(loc - centre)
        spread = tf.sqrt(tf.reduce_sum(weights[:, None] * square, 0))
        found = {"weights": weights, "loc": loc, "scale": scale, "centre": centre}
        return {name: value[None] for name, value in (found | {"spread": spread}).items()}

    def encode(x: tf.Tensor) -> dict[str, tf.Tensor]:
        q = parts.posterior.statistics(parts.encoded(Batch(x)))
        return {"loc": q["z_mean"], "scale": tf.exp(0.5 * q["z_log_var"])}

    def decode(z: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = alphabet.parameters(parts.decoded(z, Batch(z)))
        weights, loc, scale = _components(parts)
        if loc.shape[0] == 1:
            return outputs
        # NormalMixture's own way: log N(z; loc_k, scale_k) from matrix products
        away = (z[:, None] - loc) / scale
        log_p = -tf.reduce_sum(0.5 * tf.square(away) + tf.math.log(scale), -1)
        component = tf.nn.softmax(tf.math.log(weights) + log_p)
        return outputs | {"component": component[:, None]}

    def endpoint(name, half, function, *inputs) -> Endpoint:
        return Endpoint(name, half, inputs, frozenset(), function, stepwise=False)

    return [
        endpoint("encode", "encoder", encode, Input("x", "float32", event_shape_of(vae))),
        endpoint("decode", "decoder", decode, Input("z", "float32", (latent_dim,))),
        endpoint("prior", "decoder", prior, Input("row", "float32")),
    ]


def fingerprint(vae: VAE) -> str:
    """Returns 32 hexadecimal digits that tell the model from others: of weights and settings."""
    digest = hashlib.blake2b(digest_size=16)
    for name in PARTS:
        part = getattr(vae, name)
        settings = {} if name in PARTS[:2] else part.get_config()
        settings.pop("name", None)
        digest.update(json.dumps([name, type(part).__name__, settings], default=str).encode())
        for weight in part.weights:
            value = np.ascontiguousarray(weight.numpy())
            digest.update(f"{value.dtype.str}{value.shape}".encode() + value.tobytes())
    return digest.hexdigest()
