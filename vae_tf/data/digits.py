"""The embedded set: scikit-learn's 1,797 handwritten digits of 8x8 pixels, as a TFDS builder.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998 (its test part).
"""

import numpy as np
import tensorflow_datasets as tfds

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
