"""A bundle: encoder and decoder as SavedModels and LiteRT files, verified before anyone sees them.

building -> parity -> publication; export/README.md is the contract.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError
from vae_tf.exporting import building, manifest, precision, publication, verification
from vae_tf.exporting.options import HALVES, Options, checked_images
from vae_tf.exporting.parts import Parts
from vae_tf.exporting.runtimes import cpp_loader
from vae_tf.exporting.signatures import endpoints
from vae_tf.exporting.signatures.endpoint import Endpoint, image_shape_of
from vae_tf.exporting.signatures.preprocessing import Preprocessing


@dataclass(frozen=True)
class Bundle:
    """One exported version: where its parts are, and what is known about them."""

    directory: Path
    version: int
    manifest: Mapping[str, Any]
    parity: Mapping[str, Any]

    @property
    def encoder(self) -> Path:
        """The encoder's SavedModel."""
        return self.directory / "encoder" / str(self.version)

    @property
    def decoder(self) -> Path:
        """The decoder's SavedModel."""
        return self.directory / "decoder" / str(self.version)

    @property
    def whole(self) -> Path | None:
        """The SavedModel of both halves, None if the bundle has none."""
        path = self.directory / "vae" / str(self.version)
        return path if path.is_dir() else None

    @property
    def encoder_tflite(self) -> Path:
        """The encoder in LiteRT, float32, of any batch."""
        return self.directory / "encoder.tflite"

    @property
    def decoder_tflite(self) -> Path:
        """The decoder in LiteRT, float32, of any batch."""
        return self.directory / "decoder.tflite"

    @property
    def manifest_path(self) -> Path:
        """All that is known about the bundle, as JSON."""
        return self.directory / manifest.NAME

    @property
    def parity_path(self) -> Path:
        """The largest errors of every signature in every runtime, as JSON."""
        return self.directory / "parity.json"


def write_bundle(
    encoder: keras.Model,
    decoder: keras.Model,
    *,
    prior: Any,
    posterior: Any,
    likelihood: Any,
    directory: str | Path,
    version: int = 1,
    preprocessing: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    image_shape: Sequence[int] | None = None,
    images: Mapping[str, np.ndarray] | None = None,
    pictures: Mapping[str, bytes] | None = None,
    options: Options = HALVES,
) -> Bundle:
    """Returns the bundle written to `directory`, verified in every runtime it is meant for.

    Args:
        encoder: images [B, H, W, C] -> whatever `posterior.statistics` takes.
        decoder: z [B, L] -> whatever `likelihood.statistics` takes.
        prior: p(z), with `latent_dim`.
        posterior: with `statistics(params) -> {z_mean, z_log_var}`, each [B, L].
        likelihood: with `statistics(params) -> {image, ...}`, each [B, ...].
        directory: created where missing; may hold other versions.
        version: positive; TF Serving serves the largest.
        preprocessing: what a client does to an image before `encode`, for the manifest.
        provenance: where the weights come from, for the manifest.
        image_shape: (H, W, C), where `encoder.input_shape` does not tell.
        images: of the splits `train`, `validation`, `test`, each optional, [N, H, W, C] as the
            encoder takes them: int8 files are made for the first, the threshold of `score` is
            set by the second, and what LiteRT files cost in log-likelihood is found on the third.
        pictures: PNG files for the model card, by name.
        options: what the bundle is to hold beyond its halves.

    Raises:
        ExportError: if anything cannot be exported, disagrees with Keras, is there already or
            cannot be written. Nothing is left behind then; for the one exception, a failure
            amid the final renames, see `publication`.
    """
    directory = Path(directory).absolute()
    shape = _check_arguments(encoder, decoder, version, image_shape)
    images = checked_images(images, shape)
    given = Preprocessing.of(preprocessing, options.image_dtype)
    concepts = {"prior": prior, "posterior": posterior, "likelihood": likelihood}
    facts: dict[str, Any] = {name: manifest.concept(part) for name, part in concepts.items()}
    facts["preprocessing"] = dict(preprocessing or {})
    fingerprint = manifest.fingerprint(
        (encoder, decoder, *concepts.values()), {"image_shape": shape, **facts}
    )
    with _refusals(directory), publication.locked(directory):
        for seal in publication.recover(directory):
            if (seal["version"], seal["fingerprint"]) == (version, fingerprint):
                return _open(directory)  # the very export that was cut short
        publication.refuse_existing(directory, version)
        facts = {
            "version": version,
            "fingerprint": fingerprint,
            "image_dtype": options.image_dtype,
            "precision": {
                "encoder": precision.policies(encoder) or ["float32"],
                "decoder": precision.policies(decoder) or ["float32"],
                "exported": "float32",
            },
            **facts,
            "provenance": dict(provenance or {}),
            "other_versions": manifest.other_versions(directory, version),
        }
        with publication.staging(directory, version) as stage:
            parts = Parts(
                precision.as_float32(encoder, shape),
                precision.as_float32(decoder, (prior.latent_dim,)),
                prior,
                posterior,
                likelihood,
            )
            offered, remarks = _endpoints(parts, shape, given, stage, options)
            building.build(
                stage,
                offered,
                {**facts, "remarks": remarks},
                parts,
                given,
                options=options,
                images=images,
                pictures=pictures or {},
            )
            publication.publish(stage, directory, version, fingerprint)
        return _open(directory)


def verify_bundle(directory: str | Path) -> Bundle:
    """Returns the bundle in `directory` after checking its hashes and running its signatures.

    Raises:
        ExportError: if a file is missing or changed, or a signature does not run as it did.
    """
    directory = Path(directory).absolute()
    verification.verify(directory)
    return _open(directory)


def _endpoints(
    parts: Parts, shape: tuple[int, ...], given: Preprocessing, scratch: Path, options: Options
) -> tuple[list[Endpoint], endpoints.Remarks]:
    """Returns the signatures of all parts, and why some are missing."""
    encoder, decoder, prior, posterior, likelihood = parts
    first, remarks = endpoints.encoder_endpoints(encoder, posterior, shape, given)
    second, others = endpoints.decoder_endpoints(decoder, prior, likelihood, shape, given, scratch)
    if not options.whole:
        return [*first, *second], remarks | others
    third, more = endpoints.vae_endpoints(*parts, shape, given, options.importance_samples)
    return [*first, *second, *third], remarks | others | more


def _check_arguments(
    encoder: keras.Model, decoder: keras.Model, version: int, image_shape: Sequence[int] | None
) -> tuple[int, ...]:
    """Returns the shape of an image, or refuses what no work could make good."""
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ExportError("version must be a positive integer", repr(version), "Pass version=1.")
    for name, model in (("encoder", encoder), ("decoder", decoder)):
        if not model.built:
            raise ExportError(f"the {name} must be built", "no weights yet", "Train it first.")
    cpp_loader.libraries()
    return image_shape_of(encoder) if image_shape is None else tuple(image_shape)


def _open(directory: Path) -> Bundle:
    facts = manifest.read(directory)
    parity = json.loads((directory / "parity.json").read_text("utf-8"))
    return Bundle(directory, facts["version"], facts, parity)


@contextlib.contextmanager
def _refusals(directory: Path) -> Iterator[None]:
    """Turns what the system refuses into an ExportError."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        text = " ".join(str(error).split())
        if "No space left" in text or "Disk quota" in text:
            raise ExportError(
                f"{directory} must have room for the bundle",
                "no space left on the device",
                "Free some space; nothing was left behind.",
            ) from error
        raise ExportError(
            f"{directory} must be a directory that can be written", text, "Choose another one."
        ) from error
