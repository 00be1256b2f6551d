"""All signatures of each half, and in a sentence why one is missing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from vae_tf.exporting.signatures import codecs, generation, imputation, inference
from vae_tf.exporting.signatures.endpoint import (
    Endpoint,
    decode_endpoint,
    encode_endpoint,
    sample_endpoint,
)
from vae_tf.exporting.signatures.halves import Halves, densities
from vae_tf.exporting.signatures.preprocessing import AS_IT_IS, Preprocessing
from vae_tf.quiet import quiet

NO_NOISE = "The posterior has no from_noise, so no draw of it is a function of a seed."
Remarks = dict[str, str]  # signature -> what it lacks


def encoder_endpoints(
    encoder: keras.Model,
    posterior: Any,
    image_shape: Sequence[int],
    preprocessing: Preprocessing = AS_IT_IS,
) -> tuple[list[Endpoint], Remarks]:
    """Returns `encode`, `sample` and `encode_bytes`, as far as there can be."""
    parts = encoder, posterior, image_shape, preprocessing
    endpoints, remarks = [encode_endpoint(*parts)], Remarks()
    if draws(encoder, posterior, image_shape):
        endpoints.append(sample_endpoint(*parts))
    else:
        remarks["sample"] = NO_NOISE
    reason = codecs.lacking(image_shape, preprocessing)
    if reason is None:
        endpoints.append(codecs.encode_bytes_endpoint(*parts))
    else:
        remarks["encode_bytes"] = reason
    return endpoints, remarks


def decoder_endpoints(
    decoder: keras.Model,
    prior: Any,
    likelihood: Any,
    image_shape: Sequence[int],
    preprocessing: Preprocessing,
    scratch: Path,
) -> tuple[list[Endpoint], Remarks]:
    """Returns `decode`, `generate` and `generate_png`, as far as there can be.

    Args:
        decoder: z [B, L] to parameters.
        prior: p(z), with `latent_dim`.
        likelihood: with `statistics`.
        image_shape: (H, W, C).
        preprocessing: what images are.
        scratch: a directory, for a trial that leaves nothing.
    """
    decode = decode_endpoint(decoder, likelihood, prior.latent_dim)
    generate, remark = generation.offer(decode, prior, scratch)
    remarks = Remarks() if remark is None else Remarks(generate=remark)
    if generate is None:
        return [decode], remarks | {"generate_png": "There is no `generate`."}
    reason = codecs.lacking(image_shape, preprocessing)
    if reason is not None:
        return [decode, generate], remarks | {"generate_png": reason}
    return [decode, generate, codecs.generate_png_endpoint(generate, preprocessing)], remarks


def vae_endpoints(
    encoder: keras.Model,
    decoder: keras.Model,
    prior: Any,
    posterior: Any,
    likelihood: Any,
    image_shape: Sequence[int],
    preprocessing: Preprocessing = AS_IT_IS,
    num_samples: int = 64,
) -> tuple[list[Endpoint], Remarks]:
    """Returns `reconstruct`, `score` and `impute`, as far as there can be.

    Args:
        encoder: images to the posterior's parameters.
        decoder: z [B, L] to the likelihood's.
        prior: p(z), with `distribution`.
        posterior: q(z|x), with `point`, `distribution` and `from_noise`.
        likelihood: p(x|z), with `statistics` and `distribution`.
        image_shape: (H, W, C).
        preprocessing: what images are.
        num_samples: K, draws of z for each image.
    """
    halves = Halves(encoder, decoder, posterior, likelihood, tuple(image_shape), preprocessing)
    reconstruct = inference.reconstruct_endpoint(halves)
    if not draws(encoder, posterior, image_shape):
        return [reconstruct], {"score": NO_NOISE, "impute": NO_NOISE}
    try:
        with quiet():
            of_prior = densities(prior, halves)
    except Exception as error:
        reason = f"The prior has no density to export: {type(error).__name__}: "
        reason += (str(error).splitlines() or [""])[0]
        return [reconstruct], {"score": reason, "impute": reason}
    score = inference.score_endpoint(halves, *of_prior, num_samples)
    remarks = Remarks() if likelihood.discrete else Remarks(score=inference.DENSITY)
    refusal = imputation.lacking(halves)
    if refusal is not None:
        return [reconstruct, score], remarks | {"impute": refusal}
    impute = imputation.impute_endpoint(halves, *of_prior, num_samples)
    return [reconstruct, score, impute], remarks


def draws(encoder: keras.Model, posterior: Any, image_shape: Sequence[int]) -> bool:
    """Returns whether `posterior` makes z of noise."""
    from_noise = getattr(posterior, "from_noise", None)
    if from_noise is None:
        return False
    params = encoder(tf.zeros([1, *image_shape]), training=False)
    mean = posterior.statistics(params)["z_mean"]
    return from_noise(params, tf.zeros_like(mean)) is not None
