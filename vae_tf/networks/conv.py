"""Convolutional networks for images of any height, width and channel count."""

from collections.abc import Mapping, Sequence

import keras

from vae_tf.networks.checks import Shape
from vae_tf.networks.conditions import Condition
from vae_tf.networks.images import Levels, image_decoder, image_encoder


def conv_encoder(
    event_shape: Shape,
    latent_dim: int,
    filters: Sequence[int] = (32, 64),
    hidden: int = 256,
    *,
    activation: str = "silu",
    outputs: Mapping[str, Shape] | None = None,
    condition: Condition = None,
    mask: bool = False,
    seed: int | None = 0,
) -> keras.Model:
    """Returns a model from images [B, H, W, C] to {name: [B, *shape]} for each of `outputs`.

    Each of `filters` halves height and width, rounded up, as long as both stay at least 4.

    Args:
        event_shape: (H, W, C). A height or width of None is free: the maps are then averaged
            over the image before the dense layer.
        latent_dim: L.
        filters: channels of the convolutions.
        hidden: width of the dense layer after them.
        activation: a Keras activation's name.
        outputs: shapes of the posterior's parameters, `posterior.parameter_shapes(latent_dim)`; if
            None those of a DiagonalNormal, `z_mean` and `z_log_var`, each [B, L].
        condition: see `vae_tf.networks`; it scales and shifts the channels of each convolution
            and enters the dense layer.
        mask: whether the network has an input `mask`, which tells it the missing pixels; its
            channels are stacked with those of the image.
        seed: seed of the initial weights.

    Raises:
        ConfigError: an argument that is no size, shape or name of the kind it must be.

    Example:
        >>> encoder = vae_tf.networks.conv_encoder((28, 28, 1), latent_dim=2)
        >>> {name: h.shape.as_list() for name, h in encoder(np.ones((3, 28, 28, 1))).items()}
        {'z_mean': [3, 2], 'z_log_var': [3, 2]}
    """
    plain = Levels(activation)
    return image_encoder(
        event_shape, latent_dim, filters, hidden, plain, outputs, condition, mask, seed
    )


def conv_decoder(
    latent_dim: int,
    outputs: Mapping[str, Shape],
    filters: Sequence[int] = (64, 32),
    hidden: int = 256,
    *,
    activation: str = "silu",
    upsampling: str = "transposed",
    condition: Condition = None,
    seed: int | None = 1,
) -> keras.Model:
    """Returns a model from latents [B, L] to {name: [B, H, W, C]} for each of `outputs`.

    It mirrors `conv_encoder`: its maps double to the same sizes, cropped where a size is odd.

    Args:
        latent_dim: L.
        outputs: shapes of the likelihood's parameters, `likelihood.parameter_shapes(event_shape)`.
        filters: channels of the convolutions.
        hidden: width of the dense layer before them.
        activation: a Keras activation's name.
        upsampling: "transposed" for transposed convolutions; "nearest" or "bilinear" enlarge the
            maps before an ordinary convolution, which takes more time and makes no checkerboards
            (Odena et al. 2016).
        condition: see `vae_tf.networks`; it enters the first layer beside the latents, and
            scales and shifts the channels of each convolution.
        seed: seed of the initial weights.

    Raises:
        ConfigError: an argument that is no size, shape or name of the kind it must be.

    Example:
        >>> outputs = vae_tf.likelihoods.Bernoulli().parameter_shapes((28, 28, 1))
        >>> decoder = vae_tf.networks.conv_decoder(2, outputs)
        >>> decoder(np.zeros((3, 2)))["logits"].shape.as_list()
        [3, 28, 28, 1]
    """
    plain = Levels(activation)
    return image_decoder(latent_dim, outputs, filters, hidden, plain, upsampling, condition, seed)
