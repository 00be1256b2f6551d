"""Whether the parts of a model meet, before anything is trained."""

from vae_tf.errors import ConfigError
from vae_tf.models.endings import check_endings
from vae_tf.wiring import Wiring


def latent_dim_of(decoder) -> int:
    """Returns the size of the latent vectors the decoder takes.

    Raises:
        ConfigError: the decoder does not tell, or does not take vectors.
    """
    shape = Wiring(decoder, "decoder", main="z").input_shape("z")
    if shape is None:
        fix = "Pass `prior=StandardNormal(latent_dim)`, or build the decoder first."
        raise ConfigError("The decoder's input shape must be known", "an unbuilt model", fix)
    if len(shape) != 1 or shape[0] is None:
        fix = "Start it with keras.Input((latent_dim,))."
        raise ConfigError("The decoder must take vectors [B, latent_dim]", (None, *shape), fix)
    return int(shape[0])


def check_halves(parts) -> tuple[int | None, ...] | None:
    """Returns the shape of one example, or None where the encoder does not tell it yet.

    Sizes that are None, of images of any height say, fit any size.

    Args:
        parts: a model's `Parts`.

    Raises:
        ConfigError: encoder, posterior, prior, decoder and likelihood do not fit together.
    """
    prior, posterior, likelihood = parts.prior, parts.posterior, parts.likelihood
    latents = parts.decoder_wiring.input_shape("z")
    if latents is not None and latents != (prior.latent_dim,):
        raise ConfigError(
            f"The decoder must take the prior's latent_dim={prior.latent_dim}",
            f"decoder input {batched(latents)}",
            "Give both the same latent_dim.",
        )
    event_shape = parts.encoder_wiring.input_shape("x")
    expected = posterior.parameter_shapes(prior.latent_dim)
    _check_outputs(parts.encoder_wiring, expected, type(posterior).__name__)
    check_endings(parts.encoder_wiring, tuple(expected), posterior)
    check_endings(parts.decoder_wiring, likelihood.parameters, likelihood)
    if event_shape is not None:
        _check_examples(parts, event_shape)
        if None not in event_shape:
            expected = likelihood.parameter_shapes(event_shape)
            _check_outputs(parts.decoder_wiring, expected, type(likelihood).__name__)
    return event_shape


def check_event(px, x) -> None:
    """Raises ConfigError unless p(x|z) is over data shaped like `x`; broadcasting would hide it."""
    if not px.event_shape.is_compatible_with(x.shape[1:]):
        raise ConfigError(
            f"The decoder must describe data {batched(x.shape[1:])}",
            f"parameters for {batched(px.event_shape)}",
            "Change the last layers of the decoder.",
        )


def _check_examples(parts, event_shape) -> None:
    prior = parts.prior
    held = getattr(prior, "event_shape", None)  # of a VampPrior's pseudo-inputs
    if held is None:
        return
    if not fits(held, event_shape):
        expected = f"{type(prior).__name__} must hold examples as the encoder takes them"
        fix = "Give it the event_shape of the data."
        raise ConfigError(f"{expected}, {batched(event_shape)}", batched(held), fix)
    if set(parts.encoder_wiring.names) - {"x", "mask"}:  # pseudo-inputs are complete
        received = f"an encoder of {', '.join(parts.encoder_wiring.names)}"
        fix = "Use a MixtureOfNormals, or a Conditional prior."
        raise ConfigError(f"{type(prior).__name__} needs an encoder of x alone", received, fix)


def _check_outputs(wiring: Wiring, expected: dict, owner: str) -> None:
    shapes = wiring.output_shapes()
    if shapes is None:
        return
    if isinstance(shapes, tuple):
        shapes = dict.fromkeys(expected, shapes) if len(expected) == 1 else {"output": shapes}
    same = shapes.keys() == expected.keys()
    if not same or not all(fits(expected[name], shapes[name]) for name in expected):
        wanted = ", ".join(f"{name} {batched(shape)}" for name, shape in expected.items())
        raise ConfigError(
            f"The {wiring.role} must put out what {owner} needs: {wanted}",
            ", ".join(f"{name} {batched(shape)}" for name, shape in shapes.items()),
            f"Change the last layers of the {wiring.role}.",
        )


def fits(shape, expected) -> bool:
    """Returns whether a shape is the expected one, where None is any size."""
    return len(shape) == len(expected) and all(
        want is None or size == want for size, want in zip(shape, expected, strict=True)
    )


def batched(shape) -> str:
    """Returns a shape as users read it: [B, 28, 28, 1]."""
    return "[" + ", ".join(["B", *map(str, shape)]) + "]"
