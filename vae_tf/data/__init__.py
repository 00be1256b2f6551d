"""Data: from a source's name to seeded batches of float32 images [B, H, W, C] in [0, 1].

The way of one image: a reader (`digits`, `tfds_sets`, `folders`, `arrays`) puts it into a
`Storage` array, `carving` gives it to a split, and `Split` feeds it to training or evaluation.
"""

from vae_tf.data.binarization import BINARIZATIONS
from vae_tf.data.dequantization import dequantize
from vae_tf.data.image_data import ImageData
from vae_tf.data.loading import load
from vae_tf.data.missing import with_mask
from vae_tf.data.sequences import Bytes, Given, Series, Texts, Words
from vae_tf.data.split import Split, mixed
from vae_tf.data.tables.table import Table

__all__ = [
    "BINARIZATIONS",
    "Bytes",
    "Given",
    "ImageData",
    "Series",
    "Split",
    "Table",
    "Texts",
    "Words",
    "dequantize",
    "load",
    "mixed",
    "with_mask",
]


def __dir__() -> list[str]:
    return sorted(__all__)
