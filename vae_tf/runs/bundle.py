"""From a model, or a finished run, to the bundle that is served."""

from collections.abc import Mapping
from pathlib import Path

from vae_tf.exporting import Bundle, write_bundle
from vae_tf.models import VAE
from vae_tf.runs.training import load_run


def export(
    vae: VAE,
    directory: str | Path,
    *,
    version: int = 1,
    preprocessing: Mapping | None = None,
    provenance: Mapping | None = None,
) -> Bundle:
    """Writes encoder and decoder as SavedModels and LiteRT files, proven before they appear.

    Args:
        vae: a model whose networks are built.
        directory: where the bundle goes; `encoder/<version>/` and so on.
        version: TF Serving's version number; one that exists is refused.
        preprocessing: how raw data become the encoder's input, for the manifest.
        provenance: where the model comes from, for the manifest.

    Raises:
        ExportError: the version exists, the model cannot be converted, or a converted file
            disagrees with the model. Nothing is left behind.
    """
    return write_bundle(
        vae.encoder,
        vae.decoder,
        prior=vae.prior,
        posterior=vae.posterior,
        likelihood=vae.likelihood,
        directory=directory,
        version=version,
        preprocessing=preprocessing,
        provenance=provenance,
    )


def export_run(run: str | Path, directory: str | Path, *, version: int = 1) -> Bundle:
    """Writes the bundle of a finished run directory.

    Raises:
        RunError: no finished run there.
        ExportError: as for `export`.
    """
    vae, saved = load_run(run)
    data = saved["data"]
    provenance = {"config": saved["config"], "data": data, "trained_with": saved["versions"]}
    keys = ("preprocessing", "scale", "value_range", "resize", "binarization")
    preprocessing = {key: data[key] for key in keys}
    return export(
        vae, directory, version=version, preprocessing=preprocessing, provenance=provenance
    )
