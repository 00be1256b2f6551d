"""What is said beside a run's numbers."""

import dataclasses

import numpy as np
import pytest

from vae_tf.evaluation import LogLikelihood
from vae_tf.runs.report import cautions, support

DRAWS = 1000


def of_effective(samples):
    """Estimates of examples with so many effective draws each."""
    variance = 1 / np.asarray(samples, float) - 1 / DRAWS
    return LogLikelihood(np.full(len(variance), -100.0), variance, DRAWS)


def report(likelihood=None, unit="image", epochs=100, best=90, warmup=0, most=1000):
    numbers = {} if likelihood is None else support(likelihood)
    test = {"importance_samples": DRAWS, **numbers}
    config = {"beta_warmup_epochs": warmup, "epochs": most}
    return {"unit": unit, "test": test, "epochs": epochs, "best_epoch": best, "config": config}


def test_few_effective_draws_are_told():
    told = report(of_effective([1.0, 1.5, 300, 400, 500, 600]), "row")
    assert told["test"]["effective_samples"] == pytest.approx(350)
    assert told["test"]["few_effective_samples"] == pytest.approx(1 / 3)
    (text,) = cautions(told)
    assert text.startswith("for 33% of the test rows fewer than 5 of the 1,000 draws count")
    assert "upper bound" in text
    assert "--importance-samples" in text


def test_nothing_is_said_where_the_draws_do():
    assert cautions(report(of_effective([300] * 19 + [1.5]))) == []  # of one in twenty


def test_one_draw_and_no_estimate_tell_nothing():
    one = dataclasses.replace(of_effective([1.0]), num_samples=1)
    assert support(one) == {}
    assert cautions(report()) == []


@pytest.mark.parametrize(
    ("epochs", "best", "warmup", "told"),
    [
        (100, 1, 0, True),  # it diverged
        (100, 2, 0, False),
        (3, 1, 0, False),  # too few to tell
        (100, 11, 10, True),  # the first after the warm-up
        (100, 12, 10, False),
        (100, 100, 100, False),  # all of them in the warm-up
    ],
)
def test_a_training_that_never_got_better_is_told(epochs, best, warmup, told):
    found = cautions(report(epochs=epochs, best=best, warmup=warmup))
    assert len(found) == told
    if told:
        assert f"never better than after epoch {best}" in found[0]
        assert "--learning-rate" in found[0]


@pytest.mark.parametrize(
    ("epochs", "best", "most", "told"), [(4, 4, 4, True), (4, 3, 4, False), (4, 4, 9, False)]
)
def test_a_training_that_ended_while_it_got_better_is_told(epochs, best, most, told):
    found = cautions(report(epochs=epochs, best=best, most=most))
    assert len(found) == told
    if told:
        assert "--resume --epochs 8" in found[0]


def test_a_handful_of_draws_is_not_said_to_be_few():
    few = dataclasses.replace(of_effective([1.0, 2.0]), num_samples=5)
    test = report(few)["test"] | {"importance_samples": 5}
    assert cautions(report(few) | {"test": test}) == []
