"""Figures made of images."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

GAP = 1  # pixels between two images
INCHES_PER_IMAGE = 0.6


def tile(images: np.ndarray, columns: int) -> np.ndarray:
    """Returns one picture [H', W', C] made of `images` [N, H, W, C] or [rows, columns, H, W, C].

    Args:
        images: filled row by row; the last row is padded with white.
        columns: images in a row, for a flat list of them.

    Example:
        >>> vae_tf.plots.tile(np.zeros((10, 28, 28, 1)), columns=5).shape[-1]
        1
    """
    images = np.asarray(images, "float32")
    if images.ndim == 5:
        columns = images.shape[1]
        images = images.reshape(-1, *images.shape[2:])
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    page = np.ones((rows, height + GAP, columns, width + GAP, channels), "float32")
    for i, image in enumerate(images):
        page[i // columns, :height, i % columns, :width] = image
    picture = page.reshape(rows * (height + GAP), columns * (width + GAP), channels)
    return picture[:-GAP, :-GAP]


def image_grid(images: np.ndarray, title: str = "", columns: int | None = None) -> Figure:
    """Returns a figure of `images`, [N, H, W, C] or [rows, columns, H, W, C] in [0, 1].

    One channel is shown in grey, three or four in colour, any other number as its mean.

    Example:
        >>> figure = vae_tf.plots.image_grid(np.zeros((10, 8, 8, 1)), title="samples", columns=5)
        >>> figure.savefig("samples.png")
    """
    images = np.asarray(images)
    if images.ndim == 5:
        columns = images.shape[1]
    columns = columns or max(1, int(np.ceil(np.sqrt(len(images)))))
    picture = np.clip(tile(images, columns), 0, 1)
    height, width, channels = picture.shape
    if channels not in (1, 3, 4):
        picture = picture.mean(-1)
    inches = max(2.5, INCHES_PER_IMAGE * columns)
    figure = Figure((inches, inches * height / width + (0.35 if title else 0)), dpi=150)
    axes = figure.add_axes((0, 0, 1, 1 if not title else 1 - 0.35 / figure.get_figheight()))
    axes.imshow(
        picture[..., 0] if channels == 1 else picture,
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    axes.set_axis_off()
    if title:
        axes.set_title(title, fontsize=9)
    return figure


def reconstructions(
    originals: np.ndarray,
    reconstructed: np.ndarray,
    columns: int = 12,
    seen: np.ndarray | None = None,
) -> Figure:
    """Returns a figure with each row of `originals` [N, H, W, C] above its reconstructions.

    Args:
        originals: the images as they are, [N, H, W, C].
        reconstructed: the model's reconstructions, [N, H, W, C].
        columns: images in a row.
        seen: the images that the model was fed, if they differ; they are shown between the two.

    Example:
        >>> x = np.zeros((12, 28, 28, 1))
        >>> figure = vae_tf.plots.reconstructions(x, 1 - x)  # vae.reconstruct(x)
        >>> figure.savefig("reconstructions.png")
    """
    if seen is None:
        title = "test images, each row above its reconstruction"
        return _below_each_other((originals, reconstructed), columns, title)
    title = "test images, each row above what the model sees of it, and its reconstruction"
    return _below_each_other((originals, seen, reconstructed), columns, title)


def _below_each_other(parts: Sequence[np.ndarray], columns: int = 12, title: str = "") -> Figure:
    """Returns a figure with each row of the first part over the same row of the others."""
    count = min(map(len, parts)) // columns * columns
    columns, count = (columns, count) if count else (len(parts[0]), len(parts[0]))
    shape = (-1, columns, *np.shape(parts[0])[1:])
    rows = [np.reshape(np.asarray(part)[:count], shape) for part in parts]
    return image_grid(np.stack(rows, 1).reshape(shape), title)


def interpolations(paths: np.ndarray) -> Figure:
    """Returns a figure of `paths` [rows, steps, H, W, C], one path through latent space a row.

    Example:
        >>> paths = np.zeros((3, 8, 28, 28, 1))  # such as vae.interpolate(x[:3], x[3:6])
        >>> vae_tf.plots.interpolations(paths).savefig("interpolations.png")
    """
    return image_grid(paths, "straight lines between two test images in latent space")


def manifold(images: np.ndarray) -> Figure:
    """Returns a figure of the 2-D latent space, `images` [n, n, H, W, C] on a grid of it.

    Example:
        >>> images = np.zeros((5, 5, 28, 28, 1))  # such as vae_tf.callbacks.manifold(vae, side=5)
        >>> vae_tf.plots.manifold(images).savefig("manifold.png")
    """
    title = "2-D latent space, at equal steps of the prior's probability"
    return image_grid(images, title)


def heat_map(images: np.ndarray, values: np.ndarray, columns: int = 12, most=None) -> Figure:
    """Returns a figure with each row of `images` above a map of `values`, such as surprisal.

    Args:
        images: [N, H, W, C] in [0, 1].
        values: [N, H, W, C] or [N, H, W, 1], summed over channels; NaN is shown in grey.
        columns: images in a row.
        most: the value of the brightest colour; the largest of `values` if None.

    Example:
        >>> images = np.zeros((6, 8, 8, 1))
        >>> surprisal = np.ones((6, 8, 8, 1))  # such as vae.surprisal(images), in nats
        >>> figure = vae_tf.plots.heat_map(images, surprisal, columns=3)
        >>> figure.savefig("surprisal.png")
    """
    values = np.asarray(values, "float32").sum(-1)
    most = np.nanmax(values) if most is None else most
    colours = colormaps["inferno"](np.nan_to_num(values / max(most, 1e-12)))[..., :3]
    colours[np.isnan(values)] = 0.5
    originals = np.asarray(images, "float32")
    if originals.shape[-1] != 3:
        originals = np.repeat(originals.mean(-1, keepdims=True), 3, -1)
    title = f"each row above its values, from 0 to {most:.3g}"
    return _below_each_other((originals, colours), columns, title)


def levels(images: np.ndarray) -> Figure:
    """Returns a figure of the control by each group, `images` [G, columns, H, W, C].

    Args:
        images: the images of `evaluation.redrawn`.

    Example:
        >>> images = np.zeros((2, 10, 28, 28, 1))  # such as vae_tf.evaluation.redrawn(vae)
        >>> vae_tf.plots.levels(images).savefig("levels.png")
    """
    title = "row g: groups above g fixed, group g and those below redrawn"
    return image_grid(images, title)


def traversals(images: np.ndarray) -> Figure:
    """Returns a figure of the change by each latent, `images` [latents, values, H, W, C].

    Args:
        images: the images of `evaluation.traversals`.

    Example:
        >>> images = np.zeros((2, 9, 28, 28, 1))  # such as vae_tf.evaluation.traversals(vae, z)
        >>> vae_tf.plots.traversals(images).savefig("traversals.png")
    """
    return image_grid(images, "row l: latent l takes other values, all else stays")
