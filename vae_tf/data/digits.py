"""The embedded set: scikit-learn's 1,797 handwritten digits of 8x8 pixels, as a TFDS builder.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998 (its test part).
"""

import contextlib
import io
import os
import tempfile
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from vae_tf.data.storage import cache_directory
from vae_tf.errors import DataError

_SIZES = {"train": 1297, "validation": 200, "test": 300}


class Digits(tfds.core.GeneratorBasedBuilder):
    """1,797 digits: `image` uint8 [8, 8, 1], the original's 0..16 scaled to 0..255, and `label`.

    The original has no splits and is ordered by writer; here they are a fixed random permutation's
    first 1,297 (train), next 200 (validation) and last 300 (test).
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            homepage="https://archive.ics.uci.edu/dataset/80",
            supervised_keys=("image", "label"),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1)),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        from sklearn.datasets import load_digits  # a second to import, needed once for all

        original = load_digits()
        images = np.rint(original.images[..., np.newaxis] * (255 / 16)).astype(np.uint8)
        # RandomState's stream is frozen for ever, unlike that of default_rng.
        order = np.random.RandomState(0).permutation(len(images))
        generators, start = {}, 0
        for split, size in _SIZES.items():
            rows = order[start : start + size]
            generators[split] = self._generate_examples(images[rows], original.target[rows])
            start += size
        return generators

    def _generate_examples(self, images, labels):
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield i, {"image": image, "label": int(label)}


def prepared(data_dir: str | None) -> Digits:
    """Returns a prepared builder, from `data_dir` if the set is there, else from the user's cache.

    It is prepared aside and moved into place in one step, so that processes that start together
    cannot read each other's half. `data_dir` itself is never written: it may be shared.

    Raises:
        DataError: The cache cannot be written.
    """
    if data_dir is not None:
        builder = Digits(data_dir=data_dir)
        if _info_file(builder).is_file():
            return builder
    cache = cache_directory() / "tfds"
    builder = Digits(data_dir=cache)
    if _info_file(builder).is_file():
        return builder
    try:
        _prepare(cache, Path(builder.data_dir))
    except OSError as error:
        raise DataError(
            "The embedded digits must be written to the user's cache once",
            f"{cache}: {error.strerror or error}",
            "Set XDG_CACHE_HOME to a directory with room.",
        ) from error
    return Digits(data_dir=cache)  # anew, as builders read what is there when they are made


def _prepare(cache: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as aside:
        builder = Digits(data_dir=aside)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            builder.download_and_prepare()  # bars for a second's work
        try:
            os.rename(builder.data_dir, target)
        except OSError:  # another process was first
            if not (target / _info_file(builder).name).is_file():
                raise


def _info_file(builder: Digits) -> Path:
    return Path(builder.data_dir) / "dataset_info.json"
