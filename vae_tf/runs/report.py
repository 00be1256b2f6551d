"""The numbers of a finished run."""

import dataclasses
import math

from vae_tf.evaluation import LogLikelihood
from vae_tf.models import VAE
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.directory import versions


def make_report(
    config: TrainConfig,
    vae: VAE,
    history: list[dict],
    best: int,
    bound: dict,
    likelihood: LogLikelihood | None,
) -> dict:
    """Returns what report.json holds; every quantity in nats per example.

    Args:
        config: the settings.
        vae: the trained model, as after the best epoch.
        history: logs of the epochs.
        best: number of epochs after which the validation ELBO was highest.
        bound: metrics on the test examples.
        likelihood: importance-weighted estimates on the test examples, None if not asked for.
    """
    report = {
        "dataset": config.dataset,
        "epochs": len(history),
        "best_epoch": best,
        "validation": {"elbo": history[best - 1]["val_elbo"]},
        "test": {name: float(bound[name]) for name in ("elbo", "nll", "kl")},
        "train_seconds": sum(logs.get("seconds", 0.0) for logs in history),
        "parameters": vae.count_params(),
        "config": {**dataclasses.asdict(config), "likelihood": config.likelihood_name},
        "versions": versions(),
    }
    if likelihood is not None:
        report["test"] |= {
            "importance_weighted_nll": likelihood.nll,
            "importance_weighted_nll_stderr": _known(likelihood.stderr),
            "monte_carlo_stderr": _known(likelihood.monte_carlo_stderr),
            "importance_samples": likelihood.num_samples,
        }
    return report


def _known(error: float) -> float | None:
    """Returns None for NaN, which JSON has not: one example or one sample has no spread."""
    return error if math.isfinite(error) else None
