"""Codes made of other codes: lines, arcs, traversals, and the direction of an attribute.

`vae.decode(codes).mean()` shows them; a path [B, steps, L] is flattened before.
"""

import numpy as np
import tensorflow as tf

from vae_tf.checks import instance, whole
from vae_tf.data.batch import Batch
from vae_tf.errors import DataError
from vae_tf.models import VAE

VALUES = tuple(np.linspace(-2, 2, 9))


def linear(a, b, steps: int = 8) -> np.ndarray:
    """Returns codes at equal steps on the straight line from `a` to `b`, [..., steps, L].

    Args:
        a: codes [..., L].
        b: codes [..., L].
        steps: both ends included; at least 2.

    Raises:
        DataError: the codes differ in shape, or are not finite.

    Example:
        >>> vae_tf.evaluation.linear([0.0, 0.0], [2.0, 4.0], steps=3)
        array([[0., 0.],
               [1., 2.],
               [2., 4.]])
    """
    a, b = _pair(a, b)
    t = np.linspace(0.0, 1.0, whole("steps", steps, least=2))[:, None]
    return (1 - t) * a[..., None, :] + t * b[..., None, :]


def spherical(a, b, steps: int = 8) -> np.ndarray:
    """Returns codes at equal angles on the arc from `a` to `b`, [..., steps, L] (Shoemake 1985).

    The path is sin((1 - t) w) / sin(w) a + sin(t w) / sin(w) b, where w is the angle between the
    two codes. If both have the same length, so has the whole path: its middle is then as far from
    the origin as draws of N(0, I) are. Between codes of the same direction the path is a straight
    line.

    Args:
        a: codes [..., L].
        b: codes [..., L].
        steps: both ends included; at least 2.

    Raises:
        DataError: the codes differ in shape, are not finite, or are opposite, so that many arcs
            join them.

    Example:
        >>> path = vae_tf.evaluation.spherical([2.0, 0.0], [0.0, 2.0], steps=3)
        >>> path.round(3)
        array([[2.   , 0.   ],
               [1.414, 1.414],
               [0.   , 2.   ]])
    """
    a, b = _pair(a, b)
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    cosine = np.sum(a * b, -1) / np.where(lengths > 0, lengths, 1)
    angle = np.arccos(np.clip(np.where(lengths > 0, cosine, 1), -1, 1))[..., None, None]
    if np.any(angle > np.pi - 1e-6):
        fix = "Take a straight line, by `linear`."
        raise DataError("Codes at the ends of an arc must not be opposite", "b = -a", fix)
    t = np.linspace(0.0, 1.0, whole("steps", steps, least=2))[:, None]
    straight = angle < 1e-6
    sine = np.where(straight, 1, np.sin(angle))
    of_a = np.where(straight, 1 - t, np.sin((1 - t) * angle) / sine)
    of_b = np.where(straight, t, np.sin(t * angle) / sine)
    return of_a * a[..., None, :] + of_b * b[..., None, :]


def traversals(vae: VAE, z, values=VALUES, latents=None, condition=None):
    """Returns E[x|z, c] with one latent after another set to `values`, [latents, values, *event].

    Args:
        vae: a model.
        z: the code whose other latents are kept, [L].
        values: values of the changed latent; the default, from -2 to 2, suits a standard normal
            prior.
        latents: numbers of the latents to change, one for each row; all if None.
        condition: one entry, [1, ...], where the model takes one.

    Raises:
        DataError: the code has another length, or there is no such latent.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> vae = vae_tf.VAE(encoder, decoder)
        >>> images = vae_tf.evaluation.traversals(vae, z=[0.0, 0.0], values=[-1.0, 0.0, 1.0])
        >>> images.shape
        (2, 3, 8)
    """
    instance("vae", vae, VAE)
    z, values = np.asarray(z, "float32"), np.asarray(values, "float32").reshape(-1)
    size = vae.prior.latent_dim
    if z.shape != (size,):
        fix = "Pass one code, such as vae.encode(x).mean()[0]."
        raise DataError(f"A traversal starts at a code [{size}]", f"shape {z.shape}", fix)
    chosen = np.arange(size) if latents is None else np.atleast_1d(latents)
    if not np.all(np.isin(chosen, np.arange(size))):
        raise DataError(f"`latents` must be from 0 to {size - 1}", list(chosen), "Count from 0.")
    codes = np.tile(z, (len(chosen), len(values), 1))
    codes[np.arange(len(chosen)), :, chosen] = values
    flat = codes.reshape(-1, size)
    given = tf.nest.map_structure(
        lambda part: None if part is None else tf.repeat(part, len(flat), 0),
        vae.door.condition(condition, 1),
    )
    images = vae.generator.image(flat, Batch(flat, condition=given)).numpy()
    return images.reshape(len(chosen), len(values), *images.shape[1:])


def attribute_direction(codes, has) -> np.ndarray:
    """Returns the mean code of examples with an attribute minus that of those without, [L].

    `z + direction` gives an example the attribute, `z - direction` removes it (Larsen et al. 2016).

    Args:
        codes: means of q(z|x), [N, L].
        has: whether each example has the attribute, [N].

    Raises:
        DataError: `codes` and `has` differ in length, or all examples are of one kind.

    Example:
        >>> codes = np.array([[0.0, 1.0], [0.0, 3.0], [1.0, 2.0]])
        >>> vae_tf.evaluation.attribute_direction(codes, has=[False, False, True])
        array([1., 0.])
    """
    codes, has = np.asarray(codes, "float64"), np.asarray(has).astype(bool)
    if codes.ndim != 2 or has.shape != codes.shape[:1]:
        received = f"codes {codes.shape} and attributes {has.shape}"
        fix = "Pass codes [N, L] and attributes [N]."
        raise DataError("Each code must have one attribute", received, fix)
    if has.all() or not has.any():
        fix = "Pass examples of both kinds."
        raise DataError("Some examples must have the attribute", f"{has.sum()} of {len(has)}", fix)
    return codes[has].mean(0) - codes[~has].mean(0)


def _pair(a, b) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
    if a.shape != b.shape or not a.ndim:
        received = f"{a.shape} and {b.shape}"
        raise DataError("Both ends must be codes of one shape", received, "Pass [L] or [B, L].")
    if not (np.all(np.isfinite(a)) and np.all(np.isfinite(b))):
        raise DataError("Codes must be finite", "NaN or infinity", "Leave these examples out.")
    return a, b
