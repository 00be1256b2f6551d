"""Parts of the package with others: every two of different kinds meet in some model."""

import itertools

import numpy as np
import pytest

from .asking import FAST, FASTEST, SHAPES, ask
from .parts import LIKELIHOODS, OBJECTIVES, POSTERIORS, PRIORS

KINDS = {
    "prior": PRIORS,
    "posterior": POSTERIORS,
    "objective": OBJECTIVES,
    "likelihood": LIKELIHOODS,
}


def covering() -> list[tuple[str, ...]]:
    """Returns few combinations in which every prior, posterior and objective meet each other.

    The likelihoods, which know nothing of latents, take turns.
    """
    everything = [
        combination
        for combination in itertools.product(PRIORS, POSTERIORS, OBJECTIVES)
        if not {"VampPrior", "SemiSupervised"} <= set(combination)  # pseudo-inputs have no class
    ]
    order = np.random.default_rng(0).permutation(len(everything))

    def pairs(combination):
        return set(itertools.combinations(enumerate(combination), 2))

    missing = set().union(*map(pairs, everything))
    chosen = []
    while missing:
        best = max(order, key=lambda i: len(pairs(everything[i]) & missing))
        chosen.append(everything[best])
        missing -= pairs(everything[best])
    images = itertools.cycle(name for name in LIKELIHOODS if name not in SHAPES)
    return [(*combination, next(images)) for combination in chosen]


def made(names):
    return {kind: KINDS[kind][name]() for kind, name in zip(KINDS, names, strict=True)}


@pytest.mark.long
@pytest.mark.parametrize("names", covering(), ids=" + ".join)
def test_every_pair(names):
    ask(FASTEST, **made(names))


# One for each kind of pipeline, in the default suite as well
@pytest.mark.parametrize(
    "names",
    [
        ("StandardNormal", "DiagonalNormal", "ELBO", "Bernoulli"),
        *(
            pytest.param(names, marks=mark)
            for names, mark in {
                ("Joint", "JointPosterior", "VIMCO", "Poisson"): pytest.mark.long,
                ("VampPrior", "FullNormal", "DReG", "DiscretizedLogisticMixture"): pytest.mark.long,
                (
                    *("RealNVP", "InverseAutoregressive", "StickingTheLanding"),
                    "GaussianLearnedScale",
                ): pytest.mark.slow,
            }.items()
        ),
    ],
    ids=" + ".join,
)
def test_some_in_full(names):
    ask(FAST, **made(names))
