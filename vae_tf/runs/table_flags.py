"""Whether the flags of images and of tables go together with the data."""

from typing import Any

from vae_tf.errors import ConfigError


def check_table(config: Any) -> None:
    """Raises ConfigError where a table meets a flag for images, or the other way round.

    Args:
        config: a `TrainConfig`.
    """
    if not config.is_table:
        if config.kinds:
            fix = "Pass --dataset table:FILE.csv."
            raise ConfigError("--kinds belongs to a table", f"--dataset {config.dataset}", fix)
        return
    # What a table has anyway, as its config.json says it, too
    only: dict[str, tuple] = {"network": ("auto", "mlp"), "likelihood": ("auto",)}
    only |= {"binarization": ("auto", "none"), "condition": ("none",), "latents": ((),)}
    only["image_size"] = (None,)
    for name, values in only.items():
        if getattr(config, name) not in values:
            received = f"--{name.replace('_', '-')} {getattr(config, name)}"
            fix = "Drop the flag; the kinds of its columns decide."
            raise ConfigError("A table does without this flag", received, fix)
