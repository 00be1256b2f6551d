"""The one door: a source's name -> `ImageData`."""

import os

import numpy as np

from vae_tf.data.arrays import read_arrays
from vae_tf.data.binarization import BINARIZATIONS
from vae_tf.data.carving import DEFAULT_FRACTION, carve, check_fractions
from vae_tf.data.folders import read_folder
from vae_tf.data.image_data import ImageData
from vae_tf.data.pixels import check_image_size, white_level
from vae_tf.data.randomness import check_seed
from vae_tf.data.schemes import bare_path
from vae_tf.data.source import SPLITS, Source
from vae_tf.data.split import Split, binarized
from vae_tf.data.storage import Storage
from vae_tf.data.streams.opening import SCHEMES, open_folder, open_shards
from vae_tf.data.streams.stream import Stream
from vae_tf.data.streams.streamed import Streamed
from vae_tf.errors import ConfigError, unknown


def load(
    name: str,
    *,
    binarization: str = "none",
    image_size: tuple[int, int] | None = None,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    validation_fraction: float | None = None,
    test_fraction: float = DEFAULT_FRACTION,
    memory_limit: int | None = None,
    skip_unreadable: bool = False,
    stream: bool = False,
) -> ImageData:
    """Returns the images of `name`, checked and in three splits.

    Splits that a source lacks are drawn from its train split with `seed`.

    Args:
        name: `digits` (embedded, 8x8); `shapes` (generated, 32x32, with the factors that made each
            image in `split.factors`); an image set of TFDS: `mnist`, `cifar10`, `set/config` or
            `set:config`; `folder:PATH` (PNG, JPEG, ...; see `folders`); `array:FILE.npy` or
            `.npz` (see `arrays`); or `tfrecord:PATTERN` or `parquet:PATTERN`, which are read while
            a model trains (see `streams`).
        binarization: "none" feeds grey values in [0, 1], "static" one Bernoulli draw of each
            image, "dynamic" a new one for each training batch (validation and test: one draw).
        image_size: (height, width) to resize to; None leaves the size.
        seed: Seed of carved splits, and of the fixed draws of binarization.
        data_dir: Directory of prepared TFDS sets; None for TFDS_DATA_DIR, or else TFDS's default.
        validation_fraction: Share of the train split that becomes a missing validation split; None
            for a tenth, but 10,000 images of MNIST and sets like it, as in the literature.
        test_fraction: Share of the train split that becomes a missing test split.
        memory_limit: Bytes to keep in memory; None for half of the available memory. Images beyond
            it are kept in an unnamed file in the user's cache directory.
        skip_unreadable: Whether to leave out image files of a folder that cannot be read.
        stream: Whether to read the images of a folder while a model trains, not beforehand.

    Raises:
        ConfigError: An argument is out of range.
        DataError: The source is missing, damaged, too small or not made of images.

    Example:
        >>> data = vae_tf.data.load("digits", binarization="dynamic")
        >>> data.shape, data.train.num_examples
        ((8, 8, 1), 1297)
        >>> batches = data.train.training_batches(100, seed=0)  # endless; vae.fit(batches, ...)
        >>> next(iter(batches)).shape.as_list()
        [100, 8, 8, 1]
    """
    if binarization not in BINARIZATIONS:
        raise unknown("`binarization`", binarization, BINARIZATIONS)
    image_size, seed = check_image_size(image_size), check_seed(seed)
    check_fractions(validation_fraction, test_fraction)
    storage = Storage(memory_limit)
    _check_stream(name, stream, binarization, skip_unreadable)
    source = _read(name, image_size, storage, data_dir, skip_unreadable, stream)

    sizes = {split: len(part.images) for split, part in source.parts.items()}
    rows = carve(name, sizes, validation_fraction, test_fraction, seed)
    stored = source.parts["train"].images
    if isinstance(stored, Stream):
        feeding: type[Split] = Streamed
        white, resized = stored.form.white, stored.form.resizing is not None
    else:
        feeding = Split
        white = white_level(part.images for part in source.parts.values())
        resized = image_size is not None
    zeros_and_ones = white == 1 and stored.dtype == np.uint8
    draw = binarization != "none" and not zeros_and_ones  # their draw would be themselves
    splits = {}
    for split in SPLITS:
        part, members = source.parts.get(split, source.parts["train"]), rows[split]
        labels = None if part.labels is None else part.labels[members]
        factors = {factor: values[members] for factor, values in part.factors.items()}
        drawn = feeding(split, part.images, members, labels, white, draw, seed, factors=factors)
        splits[split] = binarized(drawn, storage) if draw and binarization == "static" else drawn
    height, width, channels = stored.shape[1:]
    return ImageData(
        name=name,
        shape=(height, width, channels),
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        white=white,
        binarization=binarization,
        seed=seed,
        source=source.description,
        resized=resized,
        carved=tuple(split for split in SPLITS if split not in source.parts),
        label_names=source.label_names,
        skipped=source.skipped,
    )


def _read(name, image_size, storage, data_dir, skip_unreadable, stream) -> Source:
    if not isinstance(name, str) or not name.strip():
        raise ConfigError("A data set must be named", repr(name), "Pass 'digits', for example.")
    scheme, _, path = name.partition(":")
    if scheme in SCHEMES:
        return open_shards(scheme, path, image_size)
    if scheme == "folder" and stream:
        return open_folder(path, image_size)
    if scheme == "folder":
        return read_folder(path, image_size, storage, skip_unreadable)
    if scheme == "array":
        return read_arrays(path, image_size, storage)
    if (os.sep in name or "." in name) and (refused := bare_path(name)):
        raise refused
    # Here, as importing TFDS takes time and other sources do not need it.
    from vae_tf.data.tfds_sets import read_tfds

    return read_tfds(name, image_size, storage, data_dir)


def _check_stream(name, stream: bool, binarization: str, skip_unreadable: bool) -> None:
    """Raises ConfigError for what goes only with data that are read beforehand."""
    scheme = str(name).partition(":")[0]
    if stream and scheme != "folder":
        fix = "TFRecord and Parquet files are read so anyway; drop it for other data."
        raise ConfigError("`stream` is for a folder of image files", repr(name), fix)
    if not stream and scheme not in SCHEMES:
        return
    if binarization == "static":
        fix = 'Pass "dynamic", or save the draws in place of the grey values.'
        expected = "Data that are read while a model trains are drawn dynamically"
        raise ConfigError(expected, "binarization 'static'", fix)
    if skip_unreadable:
        fix = "Leave it out, and repair or remove the files that errors name."
        expected = "`skip_unreadable` is for a folder that is read beforehand"
        raise ConfigError(expected, f"it with {name}", fix)
