"""The signature `generate`: images of the prior's own draws, a row for each seed.

A row depends on its own seed and temperature alone, or a server's batching would change what a
client gets. For the same reason a temperature that cannot be honoured makes that row NaN, and
is no error: an error would hit the rows of others.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.distributions.priors.base import Prior
from vae_tf.errors import ExportError, VAEError
from vae_tf.quiet import quiet
from vae_tf.signatures import row_rng, rows
from vae_tf.signatures.endpoint import Endpoint, Input
from vae_tf.signatures.freezing import Function, frozen
from vae_tf.signatures.halves import Halves

Outputs = dict[str, tf.Tensor]
Trial = Callable[[Endpoint], None]  # raises a VAEError where no server can run it
NO_WAY = "The prior has no from_noise, and its distribution cannot be exported."
SAMPLED = (
    "The prior has no from_noise, so TensorFlow's own generators draw from it: "
    "LiteRT lacks them, and temperature must be 1."
)


def offer(halves: Halves, decode: Endpoint, trial: Trial) -> tuple[Endpoint | None, str | None]:
    """Returns `generate(seed [B], temperature [B]) -> {z [B, L], image [B, ...], ...}`.

    Args:
        halves: the model, whose prior has `from_noise` or `distribution`.
        decode: the decoder's other signature.
        trial: of a signature that not every server may be able to run.

    Returns:
        The endpoint, None if the prior allows none, and in a sentence what cannot be had.

    Raises:
        ExportError: if `from_noise` is no function of its arguments that a graph can hold.
    """
    eager, constant = from_noise_of(halves)
    if eager is None or constant is None:
        return _sampled(halves, decode, trial)
    return _from_noise(halves, decode, eager, constant), None


def from_noise_of(halves: Halves) -> tuple[Function | None, Function | None]:
    """Returns the prior's `from_noise` as it is and for graphs; None, None if it has none.

    Both take a condition after the noise, None without.

    Raises:
        ExportError: if it is no function of its arguments that a graph can hold.
    """
    prior, latent, taken = halves.parts.prior, halves.latent, halves.condition("prior")

    def draw(normal: tf.Tensor, uniform: tf.Tensor, condition: Any = None) -> Any:
        if prior.conditional:
            return prior.from_noise(normal, uniform, condition)  # type: ignore[call-arg]
        return prior.from_noise(normal, uniform)

    if prior.conditional and type(prior).from_noise is Prior.from_noise:
        return None, None
    noise = tf.TensorSpec([None, latent], name="normal"), tf.TensorSpec([None], name="uniform")
    normal, uniform = tf.random.stateless_normal([3, latent], [0, 0]), tf.constant([0.1, 0.5, 0.9])
    given = taken.example(3)

    def drawn(rows: slice) -> Any:
        condition = taken.value([value[rows] for value in given])
        return draw(normal[rows], uniform[rows], condition)

    with quiet():
        try:
            z = drawn(slice(3))
            if z is None:
                return None, None
            alone = tf.concat([drawn(slice(i, i + 1)) for i in range(3)], 0)
            together, alone = (np.asarray(x, np.float32) for x in (z, alone))
            # One function, which all signatures call, and so one copy of the prior's numbers.
            fixed = None if prior.conditional else tf.function(frozen(draw, noise), autograph=False)
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
    return draw, draw if fixed is None else lambda normal, uniform, _=None: fixed(normal, uniform)


def _from_noise(halves: Halves, decode: Endpoint, eager: Function, constant: Function) -> Endpoint:
    """Returns the endpoint by the prior's own `from_noise`, `constant` in graphs."""
    taken, of_prior = halves.condition("decoder", "prior"), halves.condition("prior")

    def generate(draw: Function) -> Callable[..., dict[str, tf.Tensor]]:
        def function(seed: tf.Tensor, temperature: tf.Tensor, *given: tf.Tensor) -> Outputs:
            named = dict(zip((i.name for i in taken.inputs), given, strict=True))
            allowed = rows.within(temperature, low=0.0)
            factor = tf.where(allowed, temperature, 0.0)[:, tf.newaxis]
            normal, uniform = row_rng.normals(seed, halves.latent), row_rng.uniforms(seed, 1)[:, 0]
            z = draw(factor * normal, uniform, of_prior.value(of_prior.among(named)))
            return _decoded(decode, z, named, taken.also(allowed, given))

        return function

    inputs = Input("seed", "int32"), Input("temperature", "float32"), *taken.inputs
    return _endpoint(decode, inputs, generate(eager), traced=generate(constant))


def _sampled(halves: Halves, decode: Endpoint, trial: Trial) -> tuple[Endpoint | None, str | None]:
    """Returns the endpoint by `prior.distribution().sample`, if a server can run it."""
    taken, of_prior = halves.condition("decoder", "prior"), halves.condition("prior")

    def draw(row: tuple[tf.Tensor, ...]) -> tf.Tensor:
        seed, *given = row
        condition = of_prior.value([value[tf.newaxis] for value in given])
        pz = halves.parts.p(Batch(None, condition=condition))
        return tf.reshape(pz.sample(seed=tf.stack([seed, 0])), [halves.latent])

    def generate(seed: tf.Tensor, temperature: tf.Tensor, *given: tf.Tensor) -> Outputs:
        named = dict(zip((i.name for i in taken.inputs), given, strict=True))
        row = tf.TensorSpec([halves.latent], tf.float32)
        z = tf.map_fn(draw, (seed, *of_prior.among(named)), fn_output_signature=row)
        return _decoded(decode, z, named, taken.also(tf.equal(temperature, 1.0), given))

    inputs = Input("seed", "int32"), Input("temperature", "float32", only=1.0), *taken.inputs
    endpoint = _endpoint(decode, inputs, generate, litert=False)
    try:
        draw((tf.constant(0), *(value[0] for value in of_prior.example(1))))
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        return None, f"{NO_WAY} {type(error).__name__}: {first_line}"
    try:
        trial(endpoint)
    except VAEError as error:
        return None, f"{NO_WAY} {error}"
    return endpoint, SAMPLED


def _endpoint(
    decode: Endpoint, inputs: tuple[Input, ...], function: Callable[..., Any], **options: Any
) -> Endpoint:
    """Returns the signature `generate` on top of a decoding one."""
    required = decode.required | {"z"}
    own = {"through": decode.name, **options}
    return Endpoint("generate", decode.half, inputs, required, function, **own)


def _decoded(decode: Endpoint, z: tf.Tensor, named: Outputs, allowed: tf.Tensor) -> Outputs:
    """Returns z [B, L] and what `decode` makes of it; NaN in the rows not `allowed` [B]."""
    z = tf.cast(z, tf.float32)
    outputs = {**decode.function(z, *(named[i.name] for i in decode.inputs[1:])), "z": z}
    return rows.spoilt(outputs, allowed)
