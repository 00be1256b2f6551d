"""The pictures of a run."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from vae_tf import plots
from vae_tf.data import ImageData
from vae_tf.data.batch import Batch
from vae_tf.data.tables.table_data import TableData
from vae_tf.files import write_aside
from vae_tf.models import VAE
from vae_tf.runs.build import Data
from vae_tf.runs.tables import figures_of_table

SIDE = 10  # samples are a SIDE x SIDE grid
MANIFOLD_SIDE = 20
MOST_CLASSES = 20  # in a picture of classes


def draw(vae: VAE, images: Data, history: list[dict], directory: Path) -> list[Path]:
    """Writes the PNGs of a trained model and returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    if isinstance(images, TableData):
        own = figures_of_table(vae, images)
    else:
        x, labels = _mixed(images)
        own = _of_classes(vae, x, labels, images) if vae.parts.conditional else _of_all(vae, x)
    figures = {**own, "learning_curves": plots.learning_curves(history, images.unit)}
    paths = []
    for name, figure in figures.items():
        path = directory / f"{name}.png"
        write_aside(path, figure.savefig)
        paths.append(path)
    return paths


def _of_all(vae: VAE, x: np.ndarray) -> dict:
    ends = max(1, min(6, len(x) // 2))  # a tiny test split has few pairs, or one image
    figures = {
        "reconstructions": plots.reconstructions(x, vae.reconstruct(x).numpy()),
        "samples": plots.image_grid(
            vae.sample(SIDE * SIDE, seed=0).numpy(), "E[x|z] for draws z ~ p(z)", SIDE
        ),
        "interpolations": plots.interpolations(vae.interpolate(x[:ends], x[-ends:], 10).numpy()),
    }
    if vae.prior.latent_dim == 2:
        figures["manifold"] = plots.manifold(_manifold(vae))
    return figures


def _of_classes(vae: VAE, x: np.ndarray, labels: np.ndarray, images: ImageData) -> dict:
    """Returns the figures of a model that is conditional on the labels."""
    count = min(images.num_classes, MOST_CLASSES)
    classes = np.linspace(0, images.num_classes - 1, count).round().astype("int32")
    own = (x, labels)
    figures = {
        "reconstructions": plots.reconstructions(x, vae.reconstruct(own).numpy()),
        "samples": plots.image_grid(
            _styles(vae, classes, SIDE), "E[x|z, label]: a row a label, a column a style z"
        ),
        "label_swap": plots.image_grid(
            _swapped(vae, x[:SIDE], labels[:SIDE], classes),
            "test images, and the style of each under every label",
        ),
    }
    known, first = np.unique(labels, return_index=True)
    last = len(labels) - 1 - np.unique(labels[::-1], return_index=True)[1]
    pairs = np.flatnonzero(first != last)[:6]  # of one label: both ends have it
    if len(pairs):
        ends = x[first[pairs]], x[last[pairs]]
        paths = vae.interpolate(*ends, 10, condition=known[pairs]).numpy()
        figures["interpolations"] = plots.interpolations(paths)
    return figures


def _styles(vae: VAE, classes: np.ndarray, columns: int) -> np.ndarray:
    """Returns E[x|z, c], [classes, columns, H, W, C], one z or one noise a column."""
    condition: np.ndarray = np.repeat(classes, columns)
    if vae.prior.conditional:
        noise = np.random.default_rng(0).normal(size=(columns, vae.prior.latent_dim))
        noise = np.tile(noise.astype("float32"), (len(classes), 1))
        z = vae.prior.from_noise(tf.constant(noise), None, condition)  # type: ignore[call-arg]
    else:
        z = np.tile(vae.prior.distribution().sample(columns, seed=[0, 0]), (len(classes), 1))
    drawn = vae.generator.image(z, Batch(z, condition=condition)).numpy()
    return drawn.reshape(len(classes), columns, *drawn.shape[1:])


def _swapped(vae: VAE, x: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Returns each image, then its style under each class, [n, 1 + classes, H, W, C]."""
    own: list[np.ndarray] = [np.repeat(values, len(classes), 0) for values in (x, labels)]
    swapped = vae.reconstruct(tuple(own), shown=np.tile(classes, len(x))).numpy()
    return np.concatenate([x[:, None], swapped.reshape(len(x), len(classes), *x.shape[1:])], 1)


def _mixed(images: ImageData, count: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Returns test images from all over the split, which may be sorted by label, and labels.

    Where there are no labels they are 0.
    """
    x, labels = images.test.array(), images.test.labels
    chosen = np.random.default_rng(0).permutation(len(x))[:count]
    return x[chosen], np.zeros(len(chosen), int) if labels is None else labels[chosen]


def _manifold(vae: VAE) -> np.ndarray:
    """Returns E[x|z] on a grid of z, [side, side, H, W, C].

    The grid is even in each latent's probability under the prior, which for N(0, I) is the
    inverse CDF of Kingma and Welling 2014, figure 4; here from draws, as it serves any prior.
    """
    side = MANIFOLD_SIDE
    draws = vae.prior.distribution().sample(100_000, seed=[0, 0]).numpy()
    columns, rows = np.quantile(draws, np.linspace(0.03, 0.97, side), axis=0).T
    z = np.array([[x, y] for y in rows[::-1] for x in columns], "float32")
    images = vae.decode(z).mean().numpy()
    return images.reshape(side, side, *images.shape[1:])
