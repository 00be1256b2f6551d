"""Residual networks (He et al. 2016) for images of any height, width and channel count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras

from vae_tf.checks import whole
from vae_tf.errors import ConfigError
from vae_tf.networks.checks import Shape, one_of
from vae_tf.networks.conditions import Condition
from vae_tf.networks.images import Levels, image_decoder, image_encoder

NORMALIZATIONS = ("none", "group", "layer", "batch")


def resnet_encoder(
    event_shape: Shape,
    latent_dim: int,
    filters: Sequence[int] = (32, 64),
    depth: int = 1,
    hidden: int = 256,
    *,
    normalization: str = "none",
    groups: int = 8,
    activation: str = "silu",
    outputs: Mapping[str, Shape] | None = None,
    condition: Condition = None,
    mask: bool = False,
    seed: int | None = 0,
) -> keras.Model:
    """Returns a model from images [B, H, W, C] to {name: [B, *shape]} for each of `outputs`.

    For each of `filters` a convolution halves height and width, rounded up, as long as both stay at
    least 4, and `depth` residual blocks follow.

    Args:
        event_shape: (H, W, C). A height or width of None is free: the maps are then averaged
            over the image before the dense layer.
        latent_dim: L.
        filters: channels of each level.
        depth: residual blocks of each level.
        hidden: width of the dense layer after them.
        normalization: "none"; "group", over groups of an image's channels (Wu and He 2018);
            "layer", over the channels of each pixel; or "batch", with which an example's bound in
            training depends on its batch.
        groups: number of groups of channels, for "group".
        activation: a Keras activation's name.
        outputs: shapes of the posterior's parameters, `posterior.parameter_shapes(latent_dim)`; if
            None those of a DiagonalNormal, `z_mean` and `z_log_var`, each [B, L].
        condition: see `vae_tf.networks`; it scales and shifts the channels inside each block
            and enters the dense layer.
        mask: whether the network has an input `mask`, which tells it the missing pixels; its
            channels are stacked with those of the image.
        seed: seed of the initial weights.

    Raises:
        ConfigError: an argument that is no size, shape or name of the kind it must be.

    Example:
        >>> encoder = vae_tf.networks.resnet_encoder((28, 28, 1), 2, normalization="group")
        >>> {name: h.shape.as_list() for name, h in encoder(np.ones((3, 28, 28, 1))).items()}
        {'z_mean': [3, 2], 'z_log_var': [3, 2]}
    """
    residual = Residual(activation, depth, normalization, groups)
    return image_encoder(
        event_shape, latent_dim, filters, hidden, residual, outputs, condition, mask, seed
    )


def resnet_decoder(
    latent_dim: int,
    outputs: Mapping[str, Shape],
    filters: Sequence[int] = (64, 32),
    depth: int = 1,
    hidden: int = 256,
    *,
    normalization: str = "none",
    groups: int = 8,
    activation: str = "silu",
    upsampling: str = "transposed",
    condition: Condition = None,
    seed: int | None = 1,
) -> keras.Model:
    """Returns a model from latents [B, L] to {name: [B, H, W, C]} for each of `outputs`.

    It mirrors `resnet_encoder`: its maps double to the same sizes, cropped where a size is odd.

    Args:
        latent_dim: L.
        outputs: shapes of the likelihood's parameters, `likelihood.parameter_shapes(event_shape)`.
        filters: channels of each level, from the smallest maps to the largest, which are half
            as high and wide as the image: the output layers do the last doubling.
        depth: residual blocks of each level.
        hidden: width of the dense layer before them.
        normalization: as for `resnet_encoder`.
        groups: number of groups of channels, for "group".
        activation: a Keras activation's name.
        upsampling: "transposed" for transposed convolutions; "nearest" or "bilinear" enlarge the
            maps before an ordinary convolution, which takes more time and makes no checkerboards
            (Odena et al. 2016).
        condition: see `vae_tf.networks`; it enters the first layer beside the latents, and
            scales and shifts the channels inside each block.
        seed: seed of the initial weights.

    Raises:
        ConfigError: an argument that is no size, shape or name of the kind it must be.

    Example:
        >>> outputs = vae_tf.likelihoods.Bernoulli().parameter_shapes((28, 28, 1))
        >>> decoder = vae_tf.networks.resnet_decoder(2, outputs, upsampling="nearest")
        >>> decoder(np.zeros((3, 2)))["logits"].shape.as_list()
        [3, 28, 28, 1]
    """
    residual = Residual(activation, depth, normalization, groups)
    return image_decoder(
        latent_dim, outputs, filters, hidden, residual, upsampling, condition, seed
    )


@dataclass(frozen=True)
class Residual(Levels):
    """Levels of `depth` blocks h + conv(act(conv(act(h)))) (He et al. 2016b), small at first."""

    depth: int
    normalization: str
    groups: int
    residual = True

    def check(self, filters):
        """Raises ConfigError unless the settings suit levels of so many channels."""
        super().check(filters)
        whole("depth", self.depth)
        one_of("normalization", self.normalization, NORMALIZATIONS)
        if self.normalization != "group":
            return
        for width in filters:
            if width % whole("groups", self.groups):
                expected = f"`filters` must be multiples of groups={self.groups}"
                raise ConfigError(expected, repr(filters), "Pass groups=1, or other filters.")

    def resized(self, h, layer, conditions):
        """Returns the maps that `h` becomes by `layer`, without activation."""
        return layer()(h)

    def refined(self, h, initializers, conditions):
        """Returns maps of the same shape as `h` after `depth` blocks."""
        for _ in range(self.depth):
            y = _conv3(self.finished(h), initializers())
            y = self._activated(conditions.film(self._normalized(y)))
            h = keras.layers.Add()([h, _conv3(y, initializers.small())])
        return h

    def finished(self, h):
        """Returns the activated maps, which the layer after the last block takes."""
        return self._activated(self._normalized(h))

    def _activated(self, h):
        return keras.layers.Activation(self.activation)(h)

    def _normalized(self, h):
        if self.normalization == "group":
            return keras.layers.GroupNormalization(self.groups)(h)
        if self.normalization == "layer":
            return keras.layers.LayerNormalization()(h)
        return keras.layers.BatchNormalization()(h) if self.normalization == "batch" else h


def _conv3(h, kernel):
    return keras.layers.Conv2D(h.shape[-1], 3, padding="same", kernel_initializer=kernel)(h)
