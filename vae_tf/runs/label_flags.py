"""Whether the flags of few labels go together, and with the others."""

from typing import Any

from vae_tf.errors import ConfigError


def check_labels(config: Any) -> None:
    """Raises ConfigError where --labels and what belongs to it are out of range, or of no use."""
    for name in ("labels", "label_seed", "codes", "classifier_weight"):
        config._require(name, getattr(config, name) >= 0, "at least 0")
    config._require("labelled_share", 0 < config.labelled_share < 1, "between 0 and 1")
    if config.codes and not config.labels:
        fix = "Add --labels 100, or drop --codes."
        raise ConfigError("--codes are for a model with a classifier", "--labels 0", fix)
    if not config.labels:
        return
    if config.conditional or config.objective != "elbo" or config.free_bits or config.latents:
        fix = "Drop --condition, --objective, --free-bits and --latents."
        raise ConfigError("--labels brings a condition and an objective", "a flag of those", fix)
    if config.is_table or config.is_text or config.is_series:
        fix = "Drop it; in Python, objectives.SemiSupervised takes any data."
        raise ConfigError("--labels is for images", f"--dataset {config.dataset}", fix)
