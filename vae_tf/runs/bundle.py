"""From a model, or a finished run, to the bundle that is served."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.checks import instance
from vae_tf.data import Split, Table, Texts
from vae_tf.data.mixing import UNKNOWN
from vae_tf.errors import DataError, RunError
from vae_tf.exporting import FULL, Bundle, Options, write_bundle
from vae_tf.models import VAE
from vae_tf.runs.build import kind_of
from vae_tf.runs.directory import RunDirectory, config_of
from vae_tf.runs.training import load_run

SHOWN = (
    *("manifold", "codes", "samples", "reconstructions", "label_swap", "interpolations"),
    *("marginals", "pairs"),
)
LABELS = "labels_fingerprint"
MOST_IMAGES = 2000  # of each split; what is judged by them needs no more


def export(
    vae: VAE,
    directory: str | Path,
    *,
    version: int = 1,
    train: Any = None,
    validation: Any = None,
    test: Any = None,
    event_shape: Sequence[int] | None = None,
    preprocessing: Mapping | None = None,
    provenance: Mapping | None = None,
    pictures: Mapping[str, bytes] | None = None,
    table: Table | None = None,
    texts: Texts | None = None,
    options: Options = FULL,
) -> Bundle:
    """Returns a bundle of SavedModels, LiteRT files and more, verified before they appear.

    Args:
        vae: a model whose networks are built.
        directory: directory of the bundle, which holds `encoder/<version>/` and so on.
        version: TF Serving's version number; a version that exists is refused.
        train: examples [N, *event], or (x, condition), which calibrate int8 files. Without them
            there are no such files.
        validation: examples never trained on, which set the threshold of `score`.
        test: examples that measure the change of log-likelihood by each LiteRT file.
        event_shape: shape of one example, if the model leaves a side of it open.
        preprocessing: the steps from raw data to the encoder's input, for the manifest.
        provenance: the origin of the model, for the manifest.
        pictures: PNGs for the model card, by name.
        table: the table of a model of rows, which adds signatures that take and return its columns.
        texts: the encoding of a model of texts, whose bundle returns strings. Of `options`, only
            `max_rows` and `only` then count.
        options: the contents of the bundle.

    Raises:
        ExportError: the version exists already, or a SavedModel cannot be made or disagrees with
            the model. Nothing is then left behind.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> vae = vae_tf.VAE(encoder, decoder)
        >>> options = vae_tf.exporting.Options(only="savedmodel")
        >>> bundle = vae_tf.export(vae, "bundle", options=options)
        >>> bundle.encoder.relative_to(bundle.directory).parts
        ('encoder', '1')
    """
    instance("vae", vae, VAE)
    splits = {"train": train, "validation": validation, "test": test}
    return write_bundle(
        vae.parts,
        directory=directory,
        version=version,
        event_shape=vae.event_shape if event_shape is None else event_shape,
        preprocessing=preprocessing,
        provenance=provenance,
        images={name: values for name, values in splits.items() if values is not None},
        pictures=pictures,
        table=table,
        texts=texts,
        options=options,
    )


def export_run(
    run: str | Path,
    directory: str | Path,
    *,
    version: int = 1,
    data_dir: str | None = None,
    **options: Any,
) -> Bundle:
    """Writes the bundle of a finished run directory.

    Args:
        run: a run directory that `train` made.
        directory: directory of the bundle.
        version: TF Serving's version number.
        data_dir: directory of the TFDS data of the run, as for `train`.
        **options: those of `exporting.Options` that are not to be as in FULL.

    Raises:
        RunError: no finished run there.
        ExportError: as for `export`.
    """
    vae, saved = load_run(run)
    home = RunDirectory(run)
    table = Table.load(home.table) if home.table.is_file() else None
    texts = Texts.load(home.vocabulary) if home.vocabulary.is_file() else None
    data = saved["data"]
    provenance = {
        "config": saved["config"],
        "data": data,
        "report": home.read_report(),
        "trained_with": saved["versions"],
    }
    keys = ("preprocessing", "scale", "value_range", "resize", "binarization")
    paths = {name: home.pictures / f"{name}.png" for name in SHOWN}
    return export(
        vae,
        directory,
        version=version,
        **({} if texts else _splits(saved, data_dir, str(home.path))),
        preprocessing={key: data[key] for key in keys if key in data},
        provenance=provenance,
        pictures={name: path.read_bytes() for name, path in paths.items() if path.is_file()},
        table=table,
        texts=texts,
        options=dataclasses.replace(FULL, **options),
    )


def _splits(
    saved: Mapping[str, Any], data_dir: str | None, run_dir: str | None = None
) -> dict[str, Any]:
    """Returns some of each split of a run's data; none where the data are no longer there."""
    config = dataclasses.replace(config_of(saved), data_dir=data_dir, run_dir=run_dir)
    try:
        images = kind_of(config).data
        described = images.describe(labels=config.classes)
    except (DataError, RunError):
        return {}
    if any(described.get(key) != saved["data"].get(key) for key in ("fingerprint", LABELS)):
        return {}
    splits = {"train": images.train, "validation": images.validation, "test": images.test}
    found = {name: _some(split, config.classes) for name, split in splits.items()}
    return {name: examples for name, examples in found.items() if examples is not None}


def _some(split: Split, labels: bool) -> Any:
    """Returns examples, or pairs with labels, from all over a split, which may be sorted by label.

    Rows with gaps or without a label are left out; where all are, there are none.
    """
    if labels:
        split = split.part(np.flatnonzero(np.asarray(split.labels) != UNKNOWN))
    order = np.random.default_rng(0).permutation(split.num_examples)
    part = split.part(np.sort(order[:MOST_IMAGES]))
    if labels:
        return part.array(), part.labels
    x, mask = part.array(), part.mask()
    if mask is not None:
        x = x[np.all(mask, tuple(range(1, mask.ndim)))]
    return x if len(x) else None
