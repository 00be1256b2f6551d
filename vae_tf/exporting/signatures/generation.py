"""The signature `generate`: images of the prior's own draws, a row for each seed.

A row depends on its own seed and temperature alone, or a server's batching would change what a
client gets. For the same reason a temperature that cannot be honoured makes that row NaN, and
is no error: an error would hit the rows of others.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError, VAEError
from vae_tf.exporting import parity
from vae_tf.exporting.probes import probes
from vae_tf.exporting.runtimes import cpp_loader, saved_model
from vae_tf.exporting.signatures import row_rng, rows
from vae_tf.exporting.signatures.endpoint import Endpoint, Input
from vae_tf.exporting.signatures.freezing import Function, frozen
from vae_tf.quiet import quiet

NO_WAY = "The prior has no from_noise, and its distribution cannot be exported."
SAMPLED = (
    "The prior has no from_noise, so TensorFlow's own generators draw from it: "
    "LiteRT lacks them, and temperature must be 1."
)


def offer(decode: Endpoint, prior: Any, scratch: Path) -> tuple[Endpoint | None, str | None]:
    """Returns `generate(seed [B], temperature [B]) -> {z [B, L], image [B, ...], ...}`.

    Args:
        decode: the decoder's other signature.
        prior: p(z), with `from_noise` or `distribution`.
        scratch: a directory, for a trial that leaves nothing.

    Returns:
        The endpoint, None if the prior allows none, and in a sentence what cannot be had.

    Raises:
        ExportError: if `from_noise` is no function of its arguments that a graph can hold.
    """
    eager, constant = from_noise_of(prior, *decode.inputs[0].shape)
    if eager is None or constant is None:
        return _sampled(decode, prior, scratch)
    return _from_noise(decode, eager, constant), None


def from_noise_of(prior: Any, latent: int) -> tuple[Function | None, Function | None]:
    """Returns the prior's `from_noise` as it is and for graphs; None, None if it has none.

    Raises:
        ExportError: if it is no function of its arguments that a graph can hold.
    """
    from_noise = getattr(prior, "from_noise", None)
    constant = _frozen(from_noise, latent) if from_noise else None
    # One function, which all signatures call, and so one copy of the prior's numbers.
    return (from_noise, tf.function(constant)) if constant else (None, None)


def _frozen(from_noise: Function, latent: int) -> Function | None:
    """Returns `from_noise` for graphs; None if it answers None."""
    noise = tf.TensorSpec([None, latent], name="normal"), tf.TensorSpec([None], name="uniform")
    normal, uniform = tf.random.stateless_normal([3, latent], [0, 0]), tf.constant([0.1, 0.5, 0.9])
    with quiet():
        try:
            z = from_noise(normal, uniform)
            if z is None:
                return None
            rows = [from_noise(normal[i : i + 1], uniform[i : i + 1]) for i in range(3)]
            together, alone = (np.asarray(x, np.float32) for x in (z, tf.concat(rows, 0)))
            constant = frozen(from_noise, noise)
        except Exception as error:
            raise ExportError(
                f"prior.from_noise must turn normal [B, {latent}] and uniform [B] into z",
                f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
                "Use tf operations only, or return None to export without it.",
            ) from error
    fix = "Let no row see another, and draw nothing in from_noise."
    if not together.shape == alone.shape == (3, latent):
        shapes = f"shapes {together.shape} for three rows, {alone.shape} for thrice one"
        raise ExportError(f"prior.from_noise must return z [B, {latent}]", shapes, fix)
    if not np.allclose(together, alone, rtol=1e-3, atol=1e-3, equal_nan=True):
        difference = f"a difference of {np.abs(together - alone).max():.3g} for a row on its own"
        raise ExportError("prior.from_noise must make a row of its noise alone", difference, fix)
    return constant


def _from_noise(decode: Endpoint, eager: Function, constant: Function) -> Endpoint:
    """Returns the endpoint by the prior's own `from_noise`, `constant` in graphs."""
    (latent,) = decode.inputs[0].shape

    def generate(draw: Function) -> Callable[..., dict[str, tf.Tensor]]:
        def function(seed: tf.Tensor, temperature: tf.Tensor) -> dict[str, tf.Tensor]:
            allowed = rows.within(temperature, low=0.0)
            factor = tf.where(allowed, temperature, 0.0)[:, tf.newaxis]
            normal, uniform = row_rng.normals(seed, latent), row_rng.uniforms(seed, 1)[:, 0]
            return _decoded(decode, draw(factor * normal, uniform), allowed)

        return function

    inputs = Input("seed", "int32"), Input("temperature", "float32")
    return _endpoint(decode, inputs, generate(eager), traced=generate(constant))


def _sampled(decode: Endpoint, prior: Any, scratch: Path) -> tuple[Endpoint | None, str | None]:
    """Returns the endpoint by `prior.distribution().sample`, if a server can run it."""

    def draw(seed: tf.Tensor) -> tf.Tensor:
        return prior.distribution().sample(seed=tf.stack([seed, 0]))

    def generate(seed: tf.Tensor, temperature: tf.Tensor) -> dict[str, tf.Tensor]:
        row = tf.TensorSpec(decode.inputs[0].shape, tf.float32)
        return _decoded(
            decode, tf.map_fn(draw, seed, fn_output_signature=row), tf.equal(temperature, 1.0)
        )

    inputs = Input("seed", "int32"), Input("temperature", "float32", only=1.0)
    endpoint = _endpoint(decode, inputs, generate, litert=False)
    trial = scratch / "trial"
    try:
        draw(tf.constant(0))
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        return None, f"{NO_WAY} {type(error).__name__}: {first_line}"
    try:
        batches = probes(endpoint)
        expected = parity.reference(endpoint, batches)
        saved_model.write([endpoint], trial)
        (served,) = cpp_loader.run([cpp_loader.Call(trial, endpoint.name, batches)])
        parity.compare("cpp_loader", endpoint.name, expected, served)
    except VAEError as error:
        return None, f"{NO_WAY} {error}"
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    return endpoint, SAMPLED


def _endpoint(
    decode: Endpoint, inputs: tuple[Input, ...], function: Callable[..., Any], **options: Any
) -> Endpoint:
    required = decode.required | {"z"}
    return Endpoint("generate", decode.half, inputs, required, function, **options)


def _decoded(decode: Endpoint, z: tf.Tensor, allowed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns z [B, L] and what `decode` makes of it; NaN in the rows not `allowed` [B]."""
    z = tf.cast(z, tf.float32)
    outputs = {**decode.function(z), "z": z}
    return rows.spoilt(outputs, allowed)
