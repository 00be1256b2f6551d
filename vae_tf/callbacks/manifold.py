"""Pictures of a 2-D latent space while training goes on, and the animation of them."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image, ImageDraw

from vae_tf.files import write_aside
from vae_tf.models import VAE
from vae_tf.plots import tile

MOST_KEPT = 200  # frames of a training
FRAMES, MILLISECONDS, LAST = 36, 120, 2500  # of the animation
GREY = 17  # 255 / 15: between two of 16 grey levels
MOST_PIXELS = 360  # of the longer side
LEGEND = 14  # pixels for the number of the epoch


def quantile_grid(prior, side: int) -> np.ndarray:
    """Returns z, [side * side, 2], at equal steps of each latent's probability under the prior.

    For N(0, I) that is the inverse CDF of Kingma and Welling 2014, figure 4; here the quantiles
    are those of draws, as that serves any prior. The first row is the top of the picture.
    """
    draws = prior.distribution().sample(100_000, seed=[0, 0]).numpy()
    columns, rows = np.quantile(draws, np.linspace(0.03, 0.97, side), axis=0).T
    return np.array([[x, y] for y in rows[::-1] for x in columns], "float32")


def manifold(vae: VAE, side: int) -> np.ndarray:
    """Returns E[x|z] on a grid of a latent space of two dimensions, [side, side, H, W, C].

    The grid has equal steps of probability under the prior, in each latent.

    Args:
        vae: a model of images with two latents.
        side: number of images in a row, and of rows.

    Example:
        >>> networks = vae_tf.networks
        >>> encoder = networks.conv_encoder((8, 8, 1), 2)
        >>> decoder = networks.conv_decoder(2, {"logits": (8, 8, 1)})
        >>> vae_tf.callbacks.manifold(vae_tf.VAE(encoder, decoder), side=3).shape
        (3, 3, 8, 8, 1)
    """
    images = vae.decode(quantile_grid(vae.prior, side)).mean().numpy()
    return images.reshape(side, side, *images.shape[1:])


class ManifoldFrames(keras.callbacks.Callback):
    """Keeps a picture of a 2-D latent space after every epoch, and one before the first.

    A resumed training adds to the pictures that exist already.

    Args:
        directory: where the pictures are kept, as epoch-<number>.png.
        epochs: length of the training. In more than 200 epochs, not every epoch gets a picture.
        side: images in a row.

    Example:
        >>> frames = vae_tf.callbacks.ManifoldFrames("frames", epochs=1000)
        >>> frames.every  # epochs from one picture to the next: vae.fit(..., callbacks=[frames])
        5
    """

    def __init__(self, directory: str | Path, epochs: int, side: int = 12):
        super().__init__()
        self.directory, self.side = Path(directory), side
        self.every = -(-epochs // MOST_KEPT)

    def on_train_begin(self, logs=None):
        """Draws the untrained model."""
        if int(self.model.optimizer.iterations) == 0:
            self._draw(0)

    def on_epoch_end(self, epoch, logs=None):
        """Draws the model after this epoch, if it is one of those."""
        if (epoch + 1) % self.every == 0:
            self._draw(epoch + 1)

    def _draw(self, epochs: int) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        pixels = np.clip(tile(manifold(self.model, self.side), self.side), 0, 1)
        if pixels.shape[-1] != 3:
            pixels = pixels.mean(-1)
        frame = Image.fromarray((255 * pixels).round().astype("uint8"))
        write_aside(self.directory / f"epoch-{epochs:05}.png", frame.save)


def write_animation(directory: str | Path, path: str | Path) -> None:
    """Writes an animation, a GIF, of the pictures that `ManifoldFrames` has kept.

    It shows at most 36 pictures, more from the beginning, where much changes, than from the end.

    Args:
        directory: where the pictures are kept.
        path: path of the GIF.

    Example:
        >>> import pathlib
        >>> from PIL import Image
        >>> pathlib.Path("frames").mkdir()
        >>> for epoch in range(3):  # what ManifoldFrames("frames", epochs=2) keeps
        ...     Image.new("L", (32, 32), 100 * epoch).save(f"frames/epoch-{epoch:05}.png")
        >>> vae_tf.callbacks.write_animation("frames", "frames.gif")
        >>> with Image.open("frames.gif") as animation:
        ...     animation.n_frames
        3
    """
    kept = sorted(Path(directory).glob("epoch-*.png"))
    places = np.linspace(0, 1, FRAMES) ** 2 * (len(kept) - 1)
    pages = [_page(kept[place]) for place in np.unique(places.round().astype(int))]
    first, *others = _in_few_colours(pages)
    durations = [MILLISECONDS] * len(others) + [LAST]
    options: dict[str, Any] = {"append_images": others, "duration": durations, "loop": 0}
    write_aside(Path(path), lambda aside: first.save(aside, save_all=True, **options))


def _page(path: Path) -> Image.Image:
    """Returns a picture, the number of its epoch below it."""
    picture: Image.Image = Image.open(path)
    larger = max(1, MOST_PIXELS // max(picture.size))  # small ones would have no room for text
    size = picture.width * larger, picture.height * larger
    picture = picture.resize(size, Image.Resampling.NEAREST)
    picture.thumbnail((MOST_PIXELS, MOST_PIXELS))
    page = Image.new(picture.mode, (picture.width, picture.height + LEGEND))
    page.paste(picture)
    white = "white" if picture.mode == "RGB" else 255
    ImageDraw.Draw(page).text((3, picture.height + 1), f"epoch {int(path.stem[6:])}", fill=white)
    return page


def _in_few_colours(pages: list[Image.Image]) -> list[Image.Image]:
    """Returns the pages with the same few colours in all of them, which makes a GIF small."""
    if pages[0].mode == "L":
        return [page.point([GREY * round(level / GREY) for level in range(256)]) for page in pages]
    palette = pages[-1].quantize(64)
    return [page.quantize(palette=palette, dither=Image.Dither.NONE) for page in pages]
