"""A bundle: encoder and decoder as SavedModels and LiteRT files, verified before anyone sees them.

building -> parity -> publication; export/README.md is the contract.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from vae_tf.data.sequences.texts import Texts
from vae_tf.data.tables.table import Table
from vae_tf.errors import ExportError
from vae_tf.exporting import building, manifest, publication, verification
from vae_tf.exporting.options import HALVES, Options
from vae_tf.exporting.reading import AGAIN, parsed
from vae_tf.formats import parity, plain, precision
from vae_tf.formats.runtimes import cpp_loader
from vae_tf.models.parts import Parts
from vae_tf.signatures import columns, endpoints
from vae_tf.signatures import texts as of_texts
from vae_tf.signatures.endpoint import Endpoint
from vae_tf.signatures.halves import Halves
from vae_tf.signatures.preprocessing import Preprocessing


@dataclass(frozen=True)
class Bundle:
    """An exported version of a model: the places of its parts, and the facts about them.

    Example:
        >>> from pathlib import Path
        >>> bundle = vae_tf.exporting.Bundle(Path("bundle"), 3, manifest={}, parity={})
        >>> bundle.decoder.parts, bundle.manifest_path.name
        (('bundle', 'decoder', '3'), 'manifest.json')
    """

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
        """The SavedModel of both halves; None if the bundle has none."""
        path = self.directory / "vae" / str(self.version)
        return path if path.is_dir() else None

    @property
    def encoder_tflite(self) -> Path | None:
        """The encoder in LiteRT, float32, of any batch; None if the bundle has none."""
        return self._litert(self.encoder)

    @property
    def decoder_tflite(self) -> Path | None:
        """The decoder in LiteRT, float32, of any batch; None if the bundle has none."""
        return self._litert(self.decoder)

    def _litert(self, half: Path) -> Path | None:
        """Returns the first LiteRT file of a half; None where it has none."""
        entries = self.manifest["signatures"].values()
        own = [e["litert"] for e in entries if self.directory / e["saved_model"] == half]
        file = next(filter(None, own), None)
        return file and self.directory / file

    @property
    def manifest_path(self) -> Path:
        """The manifest, a JSON file of all facts about the bundle."""
        return self.directory / manifest.NAME

    @property
    def parity_path(self) -> Path:
        """A JSON file of the largest errors of every signature in every runtime."""
        return self.directory / "parity.json"


def write_bundle(
    parts: Parts,
    *,
    directory: str | Path,
    version: int = 1,
    event_shape: Sequence[int | None] | None = None,
    preprocessing: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    images: Mapping[str, Any] | None = None,
    pictures: Mapping[str, bytes] | None = None,
    table: Table | None = None,
    texts: Texts | None = None,
    options: Options = HALVES,
) -> Bundle:
    """Returns the bundle it writes to `directory`, verified in every runtime it is meant for.

    Args:
        parts: the parts of a model, `vae.parts`, whose networks have been built.
        directory: directory of the bundle; it is created if missing, and may hold other versions.
        version: a positive number; TF Serving serves the largest.
        event_shape: shape of one example, as `vae.event_shape`; None for that of the encoder.
        preprocessing: the steps from an image to the input of `encode`, for the manifest.
        provenance: the origin of the weights, for the manifest.
        images: examples [N, *event_shape] of the splits `train`, `validation` and `test`, each
            optional; (x, condition) for a conditional model. The first calibrate int8 files, the
            second set the threshold of `score`, and the third measure the loss of log-likelihood by
            LiteRT files.
        pictures: PNG files for the model card, by name.
        table: the table of the model's data, for signatures that take and return its columns.
        texts: the encoding of texts, for a model of texts, whose decoder returns strings.
        options: the contents of the bundle beyond its halves.

    Raises:
        ExportError: a SavedModel cannot be made or disagrees with Keras, the version exists
            already, or something cannot be written. Nothing is then left behind, except after a
            failure in the middle of the final renames, see `publication`. A LiteRT file that cannot
            be made, or disagrees, is left out, with a remark in the manifest.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> vae = vae_tf.VAE(encoder, decoder)
        >>> options = vae_tf.exporting.Options(only="savedmodel")
        >>> bundle = vae_tf.exporting.write_bundle(vae.parts, directory="bundle", options=options)
        >>> sorted(bundle.manifest["signatures"])[:3]
        ['decode', 'encode', 'generate']
    """
    directory = Path(directory).absolute()
    shape = _check_arguments(parts, version, event_shape, texts)
    if texts is not None:
        networks = {
            name: of_texts.unrolled(getattr(parts, name)) for name in ("encoder", "decoder")
        }
        parts = dataclasses.replace(parts, **networks)
        options = dataclasses.replace(HALVES, max_rows=options.max_rows, only=options.only)
    if table is not None and options.image_dtype != "float32":
        fix = "Leave image_dtype out."
        raise ExportError("rows of a table must be float32", options.image_dtype, fix)
    given = Preprocessing.of(preprocessing, options.image_dtype)
    halves = Halves(parts, shape, given, tuple(options.vectors))
    known = halves.condition().keys
    if strangers := [name for name in options.vectors if name not in known]:
        fix = f"Choose among {', '.join(known)}." if known else "Leave them out: it has none."
        raise ExportError("vectors must be conditions of the model", ", ".join(strangers), fix)
    examples = {split: halves.examples(data, split) for split, data in (images or {}).items()}
    concepts = {name: getattr(parts, name) for name in ("prior", "posterior", "likelihood")}
    facts: dict[str, Any] = {name: plain.concept(part) for name, part in concepts.items()}
    facts["preprocessing"] = dict(preprocessing or {})
    if table is not None:
        facts["table"] = table.get_config()
    if texts is not None:
        facts["texts"] = texts.get_config()
    fingerprint = manifest.fingerprint(
        (parts.encoder, parts.decoder, *concepts.values()), {"image_shape": shape, **facts}
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
                "encoder": precision.policies(parts.encoder) or ["float32"],
                "decoder": precision.policies(parts.decoder) or ["float32"],
                "exported": "float32",
            },
            **facts,
            "provenance": dict(provenance or {}),
            "other_versions": manifest.other_versions(directory, version),
        }
        with publication.staging(directory, version) as stage:
            halves = _as_float32(halves)
            if texts is not None:
                offered, remarks = of_texts.endpoints(halves, texts), of_texts.WHY_NOT
            else:
                offered, remarks = _endpoints(halves, stage, options, table)
            building.build(
                stage,
                offered,
                {**facts, "remarks": remarks},
                halves,
                options=options,
                images=examples,
                pictures=pictures or {},
            )
            outdated = manifest.single_files(directory)
            publication.publish(stage, directory, version, fingerprint, outdated)
        return _open(directory)


def verify_bundle(directory: str | Path) -> Bundle:
    """Returns the bundle in `directory` after checking its files and running its signatures.

    Raises:
        ExportError: a file is missing, changed or not listed, or a signature gives other results.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> vae, options = vae_tf.VAE(encoder, decoder), vae_tf.exporting.Options(only="savedmodel")
        >>> _ = vae_tf.export(vae, "bundle", options=options)
        >>> vae_tf.exporting.verify_bundle("bundle").version
        1
    """
    directory = Path(directory).absolute()
    try:
        verification.verify(directory)
    except OSError as error:
        expected = f"{directory} must be a directory that can be read"
        raise ExportError(expected, " ".join(str(error).split()), AGAIN) from error
    return _open(directory)


def _as_float32(halves: Halves) -> Halves:
    """Returns the model with its networks under float32."""

    def remade(name: str, shape: Sequence[int], run: Callable[[Halves, Any, Any], Any]):
        taken = halves.condition(name)

        def call(network: keras.Model, x: tf.Tensor) -> Any:
            parts = dataclasses.replace(halves.parts, **{name: network})
            example = taken.value(taken.example(len(x)))
            return run(dataclasses.replace(halves, parts=parts), x, example)

        return precision.as_float32(getattr(halves.parts, name), shape, call)

    networks = {
        "encoder": remade("encoder", halves.shape, Halves.encode),
        "decoder": remade("decoder", (halves.latent,), Halves.decode),
    }
    return dataclasses.replace(halves, parts=dataclasses.replace(halves.parts, **networks))


def _endpoints(
    halves: Halves, scratch: Path, options: Options, table: Table | None
) -> tuple[list[Endpoint], endpoints.Remarks]:
    """Returns the signatures of all parts, and why some are missing."""
    first, remarks = endpoints.encoder_endpoints(halves)
    prior = endpoints.of_prior(halves)
    second, others = endpoints.decoder_endpoints(halves, parity.trial(scratch), prior)
    if table is not None:
        generate = next((e for e in second if e.name == "generate"), None)
        of_encoder, of_decoder = columns.endpoints_of(table, halves, generate)
        first, second = [*first, *of_encoder], [*second, *of_decoder]
    if not options.whole:
        return [*first, *second], remarks | others
    third, more = endpoints.vae_endpoints(halves, options.importance_samples, prior, table)
    return [*first, *second, *third], remarks | others | more


def _check_arguments(
    parts: Parts, version: int, event_shape: Sequence[int | None] | None, texts: Texts | None
) -> tuple[int, ...]:
    """Returns the shape of an example, or refuses what no work could make good."""
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ExportError("version must be a positive integer", repr(version), "Pass version=1.")
    for name in ("encoder", "decoder"):
        if not getattr(parts, name).built:
            raise ExportError(f"the {name} must be built", "no weights yet", "Train it first.")
    stepwise = "x" in parts.decoder_wiring.names
    if stepwise and texts is None:
        expected = "a decoder that sees the past of x can only be exported for texts"
        raise ExportError(expected, "an input x", "Pass texts=, how its texts became numbers.")
    if texts is not None and not stepwise:
        expected = "texts need a model whose decoder sees the past of x"
        raise ExportError(expected, "a decoder of z alone", "Leave texts out.")
    cpp_loader.libraries()
    shape = parts.encoder_wiring.input_shape("x") if event_shape is None else event_shape
    if shape is None or not all(isinstance(side, int) for side in shape):
        raise ExportError(
            "the encoder must take one image of known height, width and channels",
            "a shape it does not tell" if shape is None else f"the shape {tuple(shape)}",
            "Pass event_shape=(height, width, channels).",
        )
    return tuple(shape)


def _open(directory: Path) -> Bundle:
    """Returns the bundle of a directory whose manifest and parity report are readable."""
    facts = manifest.read(directory)
    try:
        parity = parsed((directory / "parity.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        expected = f"{directory / 'parity.json'} must be the report of an export"
        raise ExportError(expected, error, AGAIN) from error
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
