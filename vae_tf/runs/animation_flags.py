"""Whether the flag of an animation goes together with the others."""

from typing import Any

from vae_tf.errors import ConfigError


def check_animation(config: Any) -> None:
    """Raises ConfigError where an animation is asked for of what is no manifold of images.

    Args:
        config: a `TrainConfig`.
    """
    if not config.animate:
        return
    expected = "--animate draws images on a grid of two latents"
    if config.is_table or config.is_text or config.is_series:
        raise ConfigError(expected, f"--dataset {config.dataset}", "Drop one of the two flags.")
    if config.classes or config.latents:
        flag = "latents" if config.latents else "labels" if config.labels else "condition"
        received = f"--{flag}, by which z is not all that an image is drawn from"
        raise ConfigError(expected, received, "Drop one of the two flags.")
    if config.latent_dim != 2:
        received = f"--latent-dim {config.latent_dim}"
        raise ConfigError(expected, received, "Pass --latent-dim 2, or --recipe manifold.")
