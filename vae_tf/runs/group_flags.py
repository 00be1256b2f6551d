"""Whether the flag of a hierarchy goes together with the others."""

from typing import Any

from vae_tf.errors import ConfigError


def check_groups(config: Any) -> None:
    """Raises ConfigError where a hierarchy meets a flag that it has no use for."""
    if not config.latents:
        return
    only: dict[str, tuple] = {"network": ("auto", "mlp", "resnet"), "latent_dim": ("auto",)}
    # As config.json says it
    only["latent_dim"] += (config.latents[0],)
    only |= {"dropout": (0,), "input_dropout": (0,), "shortcut": (False,)}
    for name, values in only.items():
        if getattr(config, name) not in values:
            received = f"--{name.replace('_', '-')} {getattr(config, name)}"
            fix = "Drop one of the two flags."
            raise ConfigError("--latents does without this flag", received, fix)
