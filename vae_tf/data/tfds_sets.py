"""Image sets of TensorFlow Datasets -> `Source`."""

import os

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from vae_tf.data.pixels import resize, standardize
from vae_tf.data.source import Part, Source, split_of
from vae_tf.data.storage import Storage
from vae_tf.data.tfds_builders import find_builder, prepare
from vae_tf.errors import DataError

_BATCH = 256


def read_tfds(
    name: str,
    image_size: tuple[int, int] | None,
    storage: Storage,
    data_dir: str | os.PathLike[str] | None = None,
) -> Source:
    """Returns the set that TFDS calls `name`, prepared first if need be.

    Of its features `image` is read and, if it is one integer an image, `label`; other features that
    are one number an image become factors. Of its splits train, validation and test are read.

    Raises:
        DataError: The set is unknown, not made of images, cannot be had or is damaged.
    """
    builder = find_builder(name, data_dir)
    shape = _image_shape(name, builder, image_size)  # before a download that would be in vain
    prepare(builder)
    splits = {
        split_of(split): split for split, info in builder.info.splits.items() if info.num_examples
    }
    splits = {split: theirs for split, theirs in splits.items() if split is not None}
    if "train" not in splits:
        raise DataError(
            f"TFDS set `{name}` must have a train split",
            f"splits {', '.join(builder.info.splits)}",
            "Choose another set or configuration.",
        )
    parts = _read(builder, splits, shape, image_size, storage)
    label = _label(builder)
    names = tuple(label.names) if isinstance(label, tfds.features.ClassLabel) else None
    return Source(f"TFDS {builder.info.full_name}", parts, names)


def _image_shape(
    name: str, builder: tfds.core.DatasetBuilder, image_size: tuple[int, int] | None
) -> tuple[int | None, int | None, int]:
    """Returns (H, W, C), H and W None if they vary."""
    features = builder.info.features
    known = list(features) if isinstance(features, tfds.features.FeaturesDict) else []
    if "image" not in known:
        raise DataError(
            f"TFDS set `{name}` must have a feature `image`",
            f"features {', '.join(known) or features}",
            "Choose an image set.",
        )
    shape = features["image"].shape
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3 or shape[2] is None:
        raise DataError(
            f"`image` of TFDS set `{name}` must have shape (H, W, C) with a known C",
            f"shape {shape}",
            "Choose an image set.",
        )
    if None in shape:
        if image_size is None:
            raise DataError(
                f"Images of TFDS set `{name}` must have one size",
                f"shape {shape}, where None varies",
                "Pass image_size=(64, 64), for example, to resize them.",
            )
        if features["image"].np_dtype != np.uint8:
            raise DataError(
                f"Images of TFDS set `{name}`, as they vary in size, must be uint8",
                f"dtype {np.dtype(features['image'].np_dtype)}",
                "Choose another set.",
            )
    return shape


def _label(builder: tfds.core.DatasetBuilder) -> tfds.features.FeatureConnector | None:
    label = _numbers(builder).get("label")
    return label if label is not None and np.dtype(label.np_dtype).kind in "iu" else None


def _numbers(builder: tfds.core.DatasetBuilder) -> dict[str, tfds.features.Tensor]:
    """Returns the features that are one number an image, by name."""
    flat = {n: f for n, f in builder.info.features.items() if isinstance(f, tfds.features.Tensor)}
    kinds = {name: np.dtype(feature.np_dtype).kind for name, feature in flat.items()}
    return {name: f for name, f in flat.items() if f.shape == () and kinds[name] in "iufb"}


def _read(builder, splits, shape, image_size, storage) -> dict[str, Part]:
    dtype = np.dtype(builder.info.features["image"].np_dtype)
    images, numbers = {}, {}
    for split, theirs in splits.items():
        count = builder.info.splits[theirs].num_examples
        # Others than uint8 first need the look at all of their values that `standardize` takes.
        height, width = image_size if image_size and dtype == np.uint8 else shape[:2]
        size = (count, height, width, shape[2])
        images[split] = storage.empty(size, dtype) if dtype == np.uint8 else np.empty(size, dtype)
        numbers[split] = _fill(builder, theirs, images[split], batch=1 if None in shape else _BATCH)
    if dtype != np.uint8:
        images = standardize(images, image_size, storage)
    labels = {split: own.pop("label", None) for split, own in numbers.items()}
    if _label(builder) is None:
        labels = dict.fromkeys(labels)
    return {split: Part(array, labels[split], numbers[split]) for split, array in images.items()}


def _fill(
    builder: tfds.core.DatasetBuilder, split: str, images: np.ndarray, batch: int
) -> dict[str, np.ndarray]:
    """Fills `images` [N, H, W, C] with the split, in stored order, and returns its numbers [N]."""
    config = tfds.ReadConfig(try_autocache=False)
    examples = builder.as_dataset(split=split, shuffle_files=False, read_config=config)
    known = _numbers(builder)
    pairs = examples.map(lambda e: (e["image"], {name: e[name] for name in known}))
    numbers = {name: np.zeros(len(images), feature.np_dtype) for name, feature in known.items()}
    if "label" in numbers:
        numbers["label"] = numbers["label"].astype(np.int64)
    start = 0
    try:
        for x, own in pairs.batch(batch).prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            part = slice(start, start + len(x))
            images[part] = resize(x.reshape(*x.shape[:3], -1), images.shape[1:3])
            for name, values in own.items():
                numbers[name][part] = values
            start += len(x)
    except (tf.errors.OpError, OSError, ValueError) as error:  # ValueError: more than announced
        raise _damaged(builder, split, " ".join(str(error).split())[:200]) from error
    if start != len(images):
        raise _damaged(builder, split, f"{start} of {len(images)} examples")
    return numbers


def _damaged(builder: tfds.core.DatasetBuilder, split: str, what: str) -> DataError:
    return DataError(
        f"Split {split} of {builder.data_dir} must be readable",
        what,
        "Delete that directory and prepare the set again.",
    )
