"""Shapes of known factors, drawn by formula, as a TFDS builder: for measures of disentanglement.

The idea is that of dSprites (Matthey et al. 2017); the images are our own, and fewer.
"""

import itertools

import numpy as np
import tensorflow_datasets as tfds

SIDE = 32
SHAPES = ("square", "ellipse", "heart")
# Number of values of each factor; every combination is one image
FACTORS = {"shape": len(SHAPES), "scale": 4, "orientation": 8, "x": 12, "y": 12}
_SMALLEST, _LARGEST = 5.0, 8.0  # half of a shape's width, in pixels
_MARGIN = 10.7  # of the centres, in pixels
_PLACES = FACTORS["x"], FACTORS["y"]
_WINDOW = 21  # pixels, in which every shape has room
_FINE = 4  # points along a pixel's side
_SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


class Shapes(tfds.core.GeneratorBasedBuilder):
    """13,824 binary images uint8 [32, 32, 1] of one shape each, white on black, and its factors.

    `shape` (a square, an ellipse, a heart), `scale` (4 sizes), `orientation` (8 angles within a
    quarter turn, so that even a square shows which it is), `x` and `y` (12 places each) are numbers
    from 0; `label` is the shape. The splits are parts of a fixed random permutation of all
    combinations.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        numbers = dict.fromkeys(FACTORS, np.int64)
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            supervised_keys=("image", "label"),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIDE, SIDE, 1)),
                    "label": tfds.features.ClassLabel(names=list(SHAPES)),
                    **numbers,
                }
            ),
        )

    def _split_generators(self, dl_manager):
        every = all_factors()
        # RandomState's stream is frozen for ever, unlike that of default_rng.
        order = np.random.RandomState(0).permutation(len(every))
        ends = np.rint(np.cumsum(list(_SHARES.values())) * len(every)).astype(int)
        parts = np.split(order, ends[:-1])
        return {
            split: self._generate_examples(every[rows])
            for split, rows in zip(_SHARES, parts, strict=True)
        }

    def _generate_examples(self, factors):
        for i, (row, image) in enumerate(zip(factors, draw(factors), strict=True)):
            numbers = dict(zip(FACTORS, map(int, row), strict=True))
            yield i, {"image": 255 * image, "label": numbers["shape"], **numbers}


def all_factors() -> np.ndarray:
    """Returns every combination of the factors, [13824, 5] int64, the last one fastest."""
    return np.array(list(itertools.product(*map(range, FACTORS.values()))))


def draw(factors: np.ndarray) -> np.ndarray:
    """Returns images of 0 and 1, uint8 [N, 32, 32, 1]: a pixel is 1 if half of it is inside.

    Args:
        factors: numbers from 0, [N, 5] in the order of `FACTORS`.
    """
    images: np.ndarray = np.zeros((len(factors), SIDE, SIDE, 1), np.uint8)
    points = (np.arange(_WINDOW * _FINE) + 0.5) / _FINE
    for image, (shape, scale, orientation, *place) in zip(images, np.asarray(factors), strict=True):
        size = _SMALLEST + (_LARGEST - _SMALLEST) * scale / (FACTORS["scale"] - 1)
        angle = np.pi / 2 * orientation / FACTORS["orientation"]
        x, y = _MARGIN + (SIDE - 2 * _MARGIN) * np.array(place) / (np.array(_PLACES) - 1)
        left, top = int(x - _WINDOW // 2), int(y - _WINDOW // 2)
        across, down = (points[None, :] + left - x) / size, (points[:, None] + top - y) / size
        u = np.cos(angle) * across + np.sin(angle) * down
        v = np.cos(angle) * down - np.sin(angle) * across
        fine = _INSIDE[SHAPES[shape]](u, v).reshape(_WINDOW, _FINE, _WINDOW, _FINE)
        window = image[top : top + _WINDOW, left : left + _WINDOW, 0]
        window[:] = 2 * fine.sum((1, 3)) >= _FINE**2
    return images


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    u, v = 1.2 * u, -1.2 * v
    inner = u * u + v * v - 1
    return inner * inner * inner <= u * u * v * v * v


# Points of a shape, upright, in units of half of its width
_INSIDE = {
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) <= 0.85,
    "ellipse": lambda u, v: u * u + 4 * v * v <= 1.2,
    "heart": _heart,
}
