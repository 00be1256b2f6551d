"""Runs of images: their likelihood, what is said of them, their pictures."""

import math
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from vae_tf import data, plots
from vae_tf.callbacks import ManifoldFrames, TensorBoardPictures, manifold, write_animation
from vae_tf.data import ImageData
from vae_tf.data.batch import Batch
from vae_tf.distributions import Likelihood
from vae_tf.evaluation import LogLikelihood, redrawn
from vae_tf.models import VAE
from vae_tf.runs import parts
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.directory import RunDirectory
from vae_tf.runs.kind import Kind
from vae_tf.runs.suited import LEARNING_RATE, MANY

SIDE = 10  # samples are a SIDE x SIDE grid
MANIFOLD_SIDE = 20
MOST_CODES = 5000
MOST_CLASSES = 20  # in a picture of classes
PICTURES_EVERY = 10  # epochs between two sets of TensorBoard images
BLACK, WHITE = 0.02, 0.98
MOST_GREY = 0.25  # MNIST has 11 % of its values between, digits 42 %, Fashion-MNIST 46 %
TINY, SMALL = 256, 1024  # numbers in an image
FIXED_SCALE, LEAST_SPREAD = 0.1, 0.02
LATENT_DIM, HIDDEN = 40, (500, 500)


def _intensities(images: ImageData) -> np.ndarray:
    """Returns the stored pixels of some training images, in [0, 1]."""
    return images.train.sample()


def grey_share(images: ImageData) -> float:
    """Returns the share of pixels whose stored value lies between black and white."""
    some = _intensities(images)
    return float(np.mean((some > BLACK) & (some < WHITE)))


def spread(images: ImageData) -> float:
    """Returns the standard deviation of the pixels, to two digits."""
    return max(LEAST_SPREAD, round(float(np.std(_intensities(images))), 2))


class Images(Kind):
    """A run's images.

    Args:
        images: in their splits.
    """

    def __init__(self, images: ImageData):
        self.data = images

    @classmethod
    def load(cls, config: TrainConfig) -> "Images":
        """Returns the images of the settings, binarized as their likelihood needs."""
        images = data.load(
            config.dataset,
            binarization=config.binarization_name,
            image_size=config.image_size,
            seed=config.seed,
            data_dir=config.data_dir,
            skip_unreadable=config.skip_unreadable,
            stream=config.stream,
        )
        if config.labels:
            images = images.with_few_labels(config.labels, config.label_seed)
        open_ = config.likelihood == config.binarization == "auto"
        return cls(images.drawn() if open_ and grey_share(images) <= MOST_GREY else images)

    def likelihood(self, config: TrainConfig) -> Likelihood:
        """Returns the likelihood of the settings."""
        return parts.LIKELIHOODS[config.likelihood](config)

    def chosen(self, config: TrainConfig) -> dict[str, tuple[Any, str]]:
        """Returns what suits the values of the pixels, and their number."""
        found: dict[str, tuple[Any, str]] = {}
        images, likelihood, network = self.data, config.likelihood, config.network
        if likelihood == "auto":
            likelihood = "bernoulli" if images.is_binary else "gaussian-learned"
            share = f"as {grey_share(images):.0%} of the pixels are between black and white"
            found["likelihood"] = (likelihood, share)
        if config.scale == "auto" and likelihood == "gaussian":
            found["scale"] = (FIXED_SCALE, "for a scale that is fixed")
        if config.scale == "auto" and likelihood == "gaussian-learned":
            found["scale"] = (spread(images), "to start from the spread of the pixels")
        height, width, channels = images.shape
        numbers, size = height * width * channels, f"for images of {height} x {width} x {channels}"
        if network == "auto":
            few = images.train.num_examples < MANY
            dense = numbers <= (TINY if few and likelihood != "bernoulli" else SMALL)
            network = (
                "mlp"
                if dense or config.dropout or config.input_dropout or config.shortcut
                else ("resnet" if config.latents else "conv")
            )
            found["network"] = (network, size)
        if config.latent_dim == "auto":
            found["latent_dim"] = (LATENT_DIM, "for images")
            if config.latents:
                found["latent_dim"] = (config.latents[0], "for the top of the groups")
        if config.hidden == "auto" and network == "mlp":
            found["hidden"] = (HIDDEN, "for images")
            if config.latents:
                found["hidden"] = (HIDDEN[:1] * len(config.latents), "for the groups of latents")
        if config.learning_rate == "auto":
            # A step moves what a dense layer puts out by the step size times the sum of its inputs
            rate = LEARNING_RATE * min(1.0, SMALL / numbers) if network == "mlp" else LEARNING_RATE
            found["learning_rate"] = (rate, size)
        return found

    def caution(self, config: TrainConfig) -> str:
        """Returns that there is nothing to learn, or what suits grey pixels if not Bernoulli."""
        if self.data.train.num_examples == 1:
            return "there is only one training image, so there is nothing to learn"
        if not np.ptp(_intensities(self.data), axis=0).any():
            return "all training images looked at are the same, so there is nothing to learn"
        if config.likelihood != "bernoulli" or config.binarization != "auto":
            return ""
        if (share := grey_share(self.data)) <= MOST_GREY:
            return ""
        return (
            f"{share:.0%} of the pixels are between black and white, and --likelihood bernoulli "
            "draws each of them as one or the other; --likelihood gaussian-learned keeps them grey"
        )

    def notes(self) -> list[str]:
        """Returns which files were left out."""
        skipped = self.data.skipped
        return [f"left out as unreadable: {', '.join(skipped)}"] if skipped else []

    def callbacks(self, run: RunDirectory, config: TrainConfig) -> list[keras.callbacks.Callback]:
        """Returns what draws for TensorBoard, and for the animation if there is to be one."""
        examples = next(iter(self.data.test.batches(32, config.conditional)))
        pictures = TensorBoardPictures(str(run.logs / "pictures"), examples, PICTURES_EVERY)
        frames = [ManifoldFrames(run.frames, config.number("epochs"))] if config.animate else []
        return [pictures, *frames]

    def show(self, vae: VAE, run: RunDirectory) -> None:
        """Writes the animation of the manifold, of a run that kept its frames."""
        if run.frames.is_dir():
            write_animation(run.frames, run.pictures / "manifold.gif")

    def in_users_units(self, report: dict, likelihood: LogLikelihood | None) -> dict:
        """Returns the report with bits per dimension, where the model gives levels a probability.

        Args:
            report: in nats per image.
            likelihood: of the test images, None if it was not asked for.
        """
        own = dict(report["test"])
        if likelihood is not None and report["config"]["likelihood"].startswith("discretized"):
            nats = math.log(2) * math.prod(self.data.shape)
            own["bits_per_dimension"] = likelihood.nll / nats
            if (error := own["importance_weighted_nll_stderr"]) is not None:
                own["bits_per_dimension_stderr"] = error / nats
        return {**report, "test": own}

    def figures(self, vae: VAE) -> dict[str, Any]:
        """Returns reconstructions, samples, interpolations, and pictures of two latents."""
        chosen = shown(self.data)
        if vae.parts.conditional:
            return _of_classes(vae, chosen, self.data)
        figures = _of_all(vae, chosen)
        if vae.prior.latent_dim == 2:
            figures["manifold"] = plots.manifold(manifold(vae, MANIFOLD_SIDE))
            figures["codes"] = _codes(vae, self.data)
        return figures


class Shown(NamedTuple):
    """Test images that the pictures show."""

    x: np.ndarray  # [N, H, W, C], as the model is fed them
    labels: np.ndarray  # [N]
    grey: np.ndarray | None  # [N, H, W, C], of which x was drawn, if it was

    @property
    def known(self) -> np.ndarray:
        """The images as a person knows them."""
        return self.x if self.grey is None else self.grey


def _of_all(vae: VAE, chosen: Shown) -> dict:
    """Returns the figures that every model of images has, by name."""
    x = chosen.x
    ends = max(1, min(6, len(x) // 2))  # a tiny test split has few pairs, or one image
    figures = {
        "reconstructions": _reconstructions(chosen, vae.reconstruct(x).numpy()),
        "samples": plots.image_grid(
            vae.sample(SIDE * SIDE, seed=0).numpy(), "E[x|z] for draws z ~ p(z)", SIDE
        ),
        "interpolations": plots.interpolations(vae.interpolate(x[:ends], x[-ends:], 10).numpy()),
    }
    if len(vae.prior.group_sizes) > 1:
        figures["levels"] = plots.levels(redrawn(vae, SIDE))
    return figures


def _codes(vae: VAE, images: ImageData) -> Figure:
    """Returns where the model of two latents puts the test images."""
    test = images.test
    chosen = np.random.default_rng(0).permutation(test.num_examples)[:MOST_CODES]
    z = vae.generator.code(vae.door.batch(test.at(chosen), "test images")).numpy()
    return plots.codes(z, None if test.labels is None else np.asarray(test.labels[chosen]))


def _of_classes(vae: VAE, chosen: Shown, images: ImageData) -> dict:
    """Returns the figures of a model that is conditional on the labels."""
    count = min(images.num_classes, MOST_CLASSES)
    classes = np.linspace(0, images.num_classes - 1, count).round().astype("int32")
    x, labels, _ = chosen
    own = (x, labels)
    figures = {
        "reconstructions": _reconstructions(chosen, vae.reconstruct(own).numpy()),
        "samples": plots.image_grid(
            styles(vae, classes, SIDE), "E[x|z, label]: a row a label, a column a style z"
        ),
        "label_swap": plots.image_grid(
            _swapped(vae, chosen, classes),
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


def styles(vae: VAE, classes: np.ndarray, columns: int) -> np.ndarray:
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


def _swapped(vae: VAE, chosen: Shown, classes: np.ndarray) -> np.ndarray:
    """Returns each image, then its style under each class, [n, 1 + classes, H, W, C]."""
    x, labels = chosen.x[:SIDE], chosen.labels[:SIDE]
    own: list[np.ndarray] = [np.repeat(values, len(classes), 0) for values in (x, labels)]
    swapped = vae.reconstruct(tuple(own), shown=np.tile(classes, len(x))).numpy()
    styles = swapped.reshape(len(x), len(classes), *x.shape[1:])
    return np.concatenate([chosen.known[:SIDE, None], styles], 1)


def _reconstructions(chosen: Shown, made: np.ndarray) -> Figure:
    """Returns the images above their reconstructions, between them what the model saw of them."""
    return plots.reconstructions(chosen.known, made, seen=None if chosen.grey is None else chosen.x)


def shown(images: ImageData, count: int = 48) -> Shown:
    """Returns test images from all over the split, which may be sorted by label, and labels.

    Where there are no labels they are 0.
    """
    test = images.test
    labels = test.labels
    chosen = np.random.default_rng(0).permutation(test.num_examples)[:count]
    known = np.zeros(len(chosen), int) if labels is None else np.asarray(labels[chosen])
    grey = test.stored[test.rows[chosen]] / np.float32(test.white) if test.binarize else None
    return Shown(test.at(chosen), known, grey)
