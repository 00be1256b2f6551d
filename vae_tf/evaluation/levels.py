"""What each group of latents controls: the groups above it stay, it and those below are redrawn."""

import numpy as np
import tensorflow as tf

from vae_tf import noise
from vae_tf.checks import instance, whole
from vae_tf.data.batch import Batch
from vae_tf.models import VAE


def redrawn(
    vae: VAE, columns: int = 10, *, seed: int = 0, temperature=1.0, condition=None
) -> np.ndarray:
    """Returns E[x|z] with the upper groups of latents fixed, [G, columns, *event].

    In row g the groups above group g keep one draw, the same one in all rows, while group g and
    those below it are drawn anew in each column. So row 0 shows independent samples, and the images
    of row g differ only in what group g and those below it control. The component of a mixture is
    drawn anew in row 0 alone.

    Args:
        vae: a model; one without groups has one row.
        columns: images in a row.
        seed: seed of all draws.
        temperature: as for `vae.sample`.
        condition: one entry that all images share, [1, ...], where the model takes one.

    Raises:
        ConfigError: the prior does not draw from noise.
        DataError: the condition has another length.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> vae = vae_tf.VAE(encoder, decoder)
        >>> vae_tf.evaluation.redrawn(vae, columns=5).shape  # one group of latents
        (1, 5, 8)
    """
    instance("vae", vae, VAE)
    columns, sizes = whole("columns", columns), vae.prior.group_sizes
    rows, latent_dim = len(sizes), vae.prior.latent_dim
    normal = noise.normals(tf.constant([seed, 0]), 0, 1 + columns, latent_dim).numpy()
    uniform = noise.uniforms(tf.constant([seed, 0]), 0, 1 + columns, 1).numpy()[:, 0]
    group: np.ndarray = np.repeat(np.arange(rows), sizes)  # of each latent
    fixed = group < np.arange(rows)[:, None, None]  # [G, 1, L]
    normal = np.where(fixed, normal[0], normal[1:]).reshape(-1, latent_dim)
    # It chooses a component of the top, where that is a mixture
    first = np.arange(rows)[:, None] > 0
    uniform = np.where(first, uniform[0], uniform[1:]).reshape(-1)
    given = vae.door.condition(condition, 1)
    given = tf.nest.map_structure(
        lambda part: None if part is None else tf.repeat(part, rows * columns, 0), given
    )
    batch = Batch(normal, condition=given)
    factors = vae.parts.temperatures(temperature)
    z = vae.parts.drawn(tf.constant(normal), tf.constant(uniform), batch, factors)
    images = vae.generator.image(z, batch).numpy()
    return images.reshape(rows, columns, *images.shape[1:])
