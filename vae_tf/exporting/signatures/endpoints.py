"""All signatures of each half, and in a sentence why one is missing."""

from pathlib import Path

from vae_tf.exporting.signatures import codecs, coding, generation, imputation, inference
from vae_tf.exporting.signatures.densities import densities
from vae_tf.exporting.signatures.endpoint import Endpoint
from vae_tf.exporting.signatures.halves import Halves
from vae_tf.quiet import quiet

NO_NOISE = "The posterior has no from_noise, so no draw of it is a function of a seed."
Remarks = dict[str, str]  # signature -> what it lacks


def encoder_endpoints(halves: Halves) -> tuple[list[Endpoint], Remarks]:
    """Returns `encode`, `sample` and `encode_bytes`, as far as there can be."""
    endpoints, remarks = [coding.encode_endpoint(halves)], Remarks()
    if halves.draws:
        endpoints.append(coding.sample_endpoint(halves))
    else:
        remarks["sample"] = NO_NOISE
    reason = codecs.lacking(halves)
    if reason is None:
        endpoints.append(codecs.encode_bytes_endpoint(halves))
    else:
        remarks["encode_bytes"] = reason
    return endpoints, remarks


def decoder_endpoints(halves: Halves, scratch: Path) -> tuple[list[Endpoint], Remarks]:
    """Returns `decode`, `generate` and `generate_png`, as far as there can be.

    Args:
        halves: the model.
        scratch: a directory, for a trial that leaves nothing.
    """
    decode = coding.decode_endpoint(halves)
    generate, remark = generation.offer(halves, decode, scratch)
    remarks = Remarks() if remark is None else Remarks(generate=remark)
    if generate is None:
        return [decode], remarks | {"generate_png": "There is no `generate`."}
    reason = codecs.lacking(halves)
    if reason is not None:
        return [decode, generate], remarks | {"generate_png": reason}
    png = codecs.generate_png_endpoint(generate, halves.preprocessing)
    return [decode, generate, png], remarks


def vae_endpoints(halves: Halves, num_samples: int = 64) -> tuple[list[Endpoint], Remarks]:
    """Returns `reconstruct`, `score` and `impute`, as far as there can be.

    Args:
        halves: the model.
        num_samples: K, draws of z for each image.
    """
    reconstruct = inference.reconstruct_endpoint(halves)
    if not halves.draws:
        return [reconstruct], {"score": NO_NOISE, "impute": NO_NOISE}
    try:
        with quiet():
            of_prior = densities(halves)
    except Exception as error:
        reason = f"The prior has no density to export: {type(error).__name__}: "
        reason += (str(error).splitlines() or [""])[0]
        return [reconstruct], {"score": reason, "impute": reason}
    score = inference.score_endpoint(halves, *of_prior, num_samples)
    remarks = Remarks() if halves.parts.likelihood.discrete else Remarks(score=inference.DENSITY)
    refusal = imputation.lacking(halves)
    if refusal is not None:
        return [reconstruct, score], remarks | {"impute": refusal}
    impute = imputation.impute_endpoint(halves, *of_prior, num_samples)
    return [reconstruct, score, impute], remarks
