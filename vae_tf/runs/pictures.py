"""The pictures of a run."""

from pathlib import Path

import numpy as np

from vae_tf import plots
from vae_tf.data import ImageData
from vae_tf.files import write_aside
from vae_tf.models import VAE

SIDE = 10  # samples are a SIDE x SIDE grid
MANIFOLD_SIDE = 20


def draw(vae: VAE, images: ImageData, history: list[dict], directory: Path) -> list[Path]:
    """Writes the PNGs of a trained model and returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    x = _mixed(images)
    ends = max(1, min(6, len(x) // 2))  # a tiny test split has few pairs, or one image
    figures = {
        "reconstructions": plots.reconstructions(x, vae.reconstruct(x).numpy()),
        "samples": plots.image_grid(
            vae.sample(SIDE * SIDE, seed=0).numpy(), "E[x|z] for draws z ~ p(z)", SIDE
        ),
        "interpolations": plots.interpolations(vae.interpolate(x[:ends], x[-ends:], 10).numpy()),
        "learning_curves": plots.learning_curves(history),
    }
    if vae.prior.latent_dim == 2:
        figures["manifold"] = plots.manifold(_manifold(vae))
    paths = []
    for name, figure in figures.items():
        path = directory / f"{name}.png"
        write_aside(path, figure.savefig)
        paths.append(path)
    return paths


def _mixed(images: ImageData, count: int = 48) -> np.ndarray:
    """Returns test images from all over the split, which may be sorted by label."""
    x = images.test.array()
    chosen = np.random.default_rng(0).permutation(len(x))[:count]
    return x[chosen]


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
