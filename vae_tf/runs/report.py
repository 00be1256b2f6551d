"""The numbers of a finished run."""

import dataclasses
import math

import numpy as np

from vae_tf.data import Split
from vae_tf.environment import versions
from vae_tf.evaluation import LogLikelihood
from vae_tf.models import VAE
from vae_tf.runs.config import TrainConfig

FEW_DRAWS = 5  # effective ones, of an example
MUCH = 0.1  # a share of the examples
TRIED = 5  # epochs after the first that may be the best


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
        **{
            f"train_{name}": sum(logs.get(name, 0.0) for logs in history)
            for name in ("seconds", "processor_seconds")
        },
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
            **support(likelihood),
        }
    return report


def class_error(vae: VAE, split: Split) -> dict:
    """Returns the share of a split's examples whose likeliest class is not their label.

    Of what is drawn, images as 0 and 1 say, the classifier sees the mean.
    """
    found = np.argmax(vae.classify(split.undrawn()), 1)
    return {"class_error": float(np.mean(found != np.asarray(split.labels)))}


def support(likelihood: LogLikelihood) -> dict:
    """Returns how many draws carry the estimates, and for which share of them they are few."""
    if likelihood.num_samples == 1:
        return {}
    effective = likelihood.effective_samples
    return {
        "effective_samples": float(np.median(effective)),
        "few_effective_samples": float(np.mean(effective < FEW_DRAWS)),
    }


def cautions(report: dict) -> list[str]:
    """Returns what is to be said beside the numbers of a report, a sentence each."""
    return [
        text for text in (_never_better(report), _still_better(report), _few_draws(report)) if text
    ]


def _never_better(report: dict) -> str:
    """Returns what to do where training made the model no better than its first epoch did."""
    first = report["config"]["beta_warmup_epochs"] + 1  # earlier ones are not compared
    if report["best_epoch"] > first or report["epochs"] - first < TRIED:
        return ""
    return (
        f"in {report['epochs']} epochs the validation ELBO was never better than after epoch "
        f"{report['best_epoch']}, so the training has not worked; a smaller --learning-rate "
        "may help, and `vae.check` in Python looks the model over"
    )


def _still_better(report: dict) -> str:
    """Returns how to go on where training ended while the model was still getting better."""
    if report["epochs"] < report["config"]["epochs"] or report["best_epoch"] < report["epochs"]:
        return ""
    more = 2 * report["epochs"]
    return (
        f"the last of {report['epochs']} epochs was the best, so more of them may give a better "
        f"model: add --resume --epochs {more}"
    )


def _few_draws(report: dict) -> str:
    """Returns that an NLL is not supported by its draws, if so."""
    test = report["test"]
    share = test.get("few_effective_samples", 0.0)
    if share < MUCH or test["importance_samples"] < 4 * FEW_DRAWS:
        return ""
    unit = report.get("unit", "image")
    return (
        f"for {share:.0%} of the test {unit}s fewer than {FEW_DRAWS} of the "
        f"{test['importance_samples']:,} draws count, so this NLL is an upper bound and may be "
        "nats too high; a larger --importance-samples tightens it, and so may --posterior iaf"
    )


def _known(error: float) -> float | None:
    """Returns None for NaN, which JSON has not: one example or one sample has no spread."""
    return error if math.isfinite(error) else None
