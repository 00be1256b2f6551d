"""A decoder without z: what a latent variable is worth is told beside it."""

import keras

from vae_tf.distributions.likelihoods.base import Likelihood
from vae_tf.errors import ConfigError
from vae_tf.models.sequences import SequenceVAE
from vae_tf.models.shapes import latent_dim_of
from vae_tf.wiring import Wiring


def language_model(
    decoder: keras.Model, likelihood: Likelihood, *, end: int | None = None, seed: int = 0
) -> SequenceVAE:
    """Returns a model p(x) = prod_t p(x_t|x_1 ... x_{t-1}), made of a decoder that gets zeros as z.

    It is a VAE whose q(z|x) is the prior, so that its KL is 0, its ELBO is log p(x), and one
    importance sample is enough. It has `fit`, `log_likelihood`, `sample` and `save` as any VAE.

    Args:
        decoder: a decoder with the inputs z and x; the model shares its weights.
        likelihood: p(x|z).
        end: as for SequenceVAE.
        seed: seed of the draws.

    Raises:
        ConfigError: the decoder has no input x.

    Example:
        >>> texts = vae_tf.data.Texts.of(["to be", "or not to be"])  # bytes
        >>> networks, likelihood = vae_tf.networks, texts.likelihood()
        >>> outputs = likelihood.parameter_shapes(texts.shape)
        >>> sizes = {"event_shape": texts.shape, "tokens": texts.num_tokens}
        >>> decoder = networks.gru_decoder(2, outputs, units=(16,), **sizes)
        >>> model = vae_tf.language_model(decoder, likelihood, end=0)
        >>> model(texts.encode(["to be", "or not"])).kl.numpy()
        array([0., 0.], dtype=float32)
    """
    wiring = Wiring(decoder, "decoder", main="z")
    shape = wiring.input_shape("x")
    if shape is None or set(wiring.names) != {"z", "x"}:
        received = f"a decoder of {', '.join(wiring.names)}"
        fix = "Build it by networks.gru_decoder or causal_decoder."
        raise ConfigError("A language model needs a decoder of z and x", received, fix)
    size = latent_dim_of(decoder)
    z, x = keras.Input((size,), name="z"), keras.Input(shape, name="x")
    known = {"z": keras.ops.zeros_like(z), "x": x}
    blind = keras.Model({"z": z, "x": x}, decoder(known), name="decoder")
    seen = keras.Input(shape, name="x")
    zeros = keras.ops.zeros_like(keras.layers.Flatten()(seen)[:, :1])
    zeros = keras.ops.repeat(zeros, size, axis=1)
    outputs = {"z_mean": zeros, "z_log_var": keras.ops.copy(zeros)}
    encoder = keras.Model(seen, outputs, name="encoder")
    return SequenceVAE(encoder, blind, likelihood=likelihood, end=end, seed=seed)
