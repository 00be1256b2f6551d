"""Which flags texts and series have, and which they do without."""

from typing import Any

from vae_tf.errors import ConfigError

OF_TEXTS: dict[str, Any] = {"tokens": "bytes", "max_length": None, "word_dropout": 0.0}
NETWORKS = ("gru", "causal")
# What sequences have anyway, as their config.json says it, too
SHARED: dict[str, tuple] = {
    "binarization": ("auto", "none"),
    "condition": ("none",),
    "image_size": (None,),
    "latents": ((),),
    "dropout": (0.0,),
    "input_dropout": (0.0,),
    "shortcut": (False,),
}
TEXTS: dict[str, tuple] = {
    "network": ("auto", *NETWORKS),
    "likelihood": ("auto",),
    "prior": ("auto", "normal", "learned-normal", "mixture", "realnvp", "maf"),
}
SERIES: dict[str, tuple] = {
    "network": ("auto", "gru"),
    "likelihood": ("auto", "gaussian-learned", "gaussian-pixel"),
}


def check_sequences(config: Any) -> None:
    """Raises ConfigError where a text or series meets a flag of others, or the other way round.

    Args:
        config: a `TrainConfig`.
    """
    if not config.is_text:
        for name, default in OF_TEXTS.items():
            if getattr(config, name) != default:
                fix = "Pass --dataset text:FILE."
                received = f"--dataset {config.dataset}"
                raise ConfigError(f"{_flag(name)} belongs to texts", received, fix)
    if not (config.is_text or config.is_series):
        if config.network in NETWORKS:
            fix = "Pass --dataset text:FILE or series:FILE, or another network."
            received = f"--dataset {config.dataset}"
            raise ConfigError(f"--network {config.network} is for sequences", received, fix)
        return
    kind, only = ("text", TEXTS) if config.is_text else ("series", SERIES)
    for name, values in {**SHARED, **only}.items():
        if getattr(config, name) not in values:
            received = f"{_flag(name)} {getattr(config, name)}"
            known = " or ".join(str(value) for value in values if value is not None)
            fix = f"Drop the flag, or pass {known}." if len(values) > 1 else "Drop the flag."
            raise ConfigError(f"A {kind} does without this flag", received, fix)


def _flag(name: str) -> str:
    """Returns the flag of a setting."""
    return f"--{name.replace('_', '-')}"
