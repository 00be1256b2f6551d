"""What is said beside a run's numbers."""

import dataclasses

import numpy as np
import pytest

from vae_tf.evaluation import LogLikelihood
from vae_tf.runs.report import caution, support

DRAWS = 1000


def of_effective(samples):
    """Estimates of examples with so many effective draws each."""
    variance = 1 / np.asarray(samples, float) - 1 / DRAWS
    return LogLikelihood(np.full(len(variance), -100.0), variance, DRAWS)


def report(likelihood, unit="image"):
    return {"unit": unit, "test": {"importance_samples": DRAWS, **support(likelihood)}}


def test_few_effective_draws_are_told():
    told = report(of_effective([1.0, 1.5, 300, 400, 500, 600]), "row")
    assert told["test"]["effective_samples"] == pytest.approx(350)
    assert told["test"]["few_effective_samples"] == pytest.approx(1 / 3)
    text = caution(told)
    assert text.startswith("for 33% of the test rows fewer than 5 of the 1,000 draws count")
    assert "upper bound" in text
    assert "--importance-samples" in text


def test_nothing_is_said_where_the_draws_do():
    assert caution(report(of_effective([300] * 19 + [1.5]))) == ""  # of one in twenty


def test_one_draw_and_no_estimate_tell_nothing():
    one = dataclasses.replace(of_effective([1.0]), num_samples=1)
    assert support(one) == {}
    assert caution({"unit": "image", "test": {}}) == ""
