"""Whether the parts of a model meet, before anything is trained."""

import keras

from vae_tf.errors import ConfigError


def latent_dim_of(decoder: keras.Model) -> int:
    """Returns the size of the latent vectors the decoder takes.

    Raises:
        ConfigError: the decoder does not tell, or does not take vectors.
    """
    shape = _input_shape(decoder)
    if shape is None:
        fix = "Pass `prior=StandardNormal(latent_dim)`, or build the decoder first."
        raise ConfigError("The decoder's input shape must be known", "an unbuilt model", fix)
    if len(shape) != 1 or shape[0] is None:
        fix = "Start it with keras.Input((latent_dim,))."
        raise ConfigError("The decoder must take vectors [B, latent_dim]", (None, *shape), fix)
    return int(shape[0])


def check_halves(encoder, decoder, prior, posterior, likelihood) -> tuple[int, ...] | None:
    """Returns the shape of one example, or None where the encoder does not tell it yet.

    Raises:
        ConfigError: encoder, posterior, prior, decoder and likelihood do not fit together.
    """
    latents = _input_shape(decoder)
    if latents is not None and latents != (prior.latent_dim,):
        raise ConfigError(
            f"The decoder must take the prior's latent_dim={prior.latent_dim}",
            f"decoder input {batched(latents)}",
            "Give both the same latent_dim.",
        )
    event_shape = _input_shape(encoder)
    expected = posterior.parameter_shapes(prior.latent_dim)
    _check_outputs("encoder", encoder, expected, type(posterior).__name__)
    if event_shape is not None:
        _check_examples(prior, event_shape)
        expected = likelihood.parameter_shapes(event_shape)
        _check_outputs("decoder", decoder, expected, type(likelihood).__name__)
    return event_shape


def check_event(px, x) -> None:
    """Raises ConfigError unless p(x|z) is over data shaped like `x`; broadcasting would hide it."""
    if px.event_shape != x.shape[1:]:
        raise ConfigError(
            f"The decoder must describe data {batched(x.shape[1:])}",
            f"parameters for {batched(px.event_shape)}",
            "Change the last layers of the decoder.",
        )


def _check_examples(prior, event_shape) -> None:
    held = getattr(prior, "event_shape", event_shape)  # of a VampPrior's pseudo-inputs
    if not fits(held, event_shape):
        expected = f"{type(prior).__name__} must hold examples as the encoder takes them"
        fix = "Give it the event_shape of the data."
        raise ConfigError(f"{expected}, {batched(event_shape)}", batched(held), fix)


def _check_outputs(half: str, network, expected: dict, owner: str) -> None:
    shapes = _output_shapes(network)
    if shapes is None:
        return
    if isinstance(shapes, list):
        same = len(shapes) == len(expected)
        shapes = dict(zip(expected, shapes, strict=False)) if same else shapes
    if shapes != expected:
        wanted = ", ".join(f"{name} {batched(shape)}" for name, shape in expected.items())
        got = shapes.items() if isinstance(shapes, dict) else enumerate(shapes)
        raise ConfigError(
            f"The {half} must put out what {owner} needs: {wanted}",
            ", ".join(f"{name} {batched(shape)}" for name, shape in got),
            f"Change the last layers of the {half}.",
        )


def _input_shape(network) -> tuple | None:
    """Returns the shape of one input without its batch, None if the model was never built."""
    try:
        return tuple(network.input_shape[1:])
    except (AttributeError, ValueError, TypeError):  # Keras's ways of saying it does not know
        return None


def _output_shapes(network) -> dict | list | None:
    try:
        output = network.output
    except (AttributeError, ValueError):
        return None
    if isinstance(output, dict):
        return {name: tuple(tensor.shape[1:]) for name, tensor in output.items()}
    several = output if isinstance(output, (list, tuple)) else [output]
    return [tuple(tensor.shape[1:]) for tensor in several]


def fits(shape, expected) -> bool:
    """Returns whether a shape is the expected one, where None is any size."""
    return len(shape) == len(expected) and all(
        want is None or size == want for size, want in zip(shape, expected, strict=True)
    )


def batched(shape) -> str:
    """Returns a shape as users read it: [B, 28, 28, 1]."""
    return "[" + ", ".join(["B", *map(str, shape)]) + "]"
