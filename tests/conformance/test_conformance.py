"""Every part of the package answers the same questions, alone and with others."""

import itertools

import numpy as np
import pytest

import vae_tf
from vae_tf.conformance import check

from .parts import LATENT_DIM, LIKELIHOODS, OBJECTIVES, POSTERIORS, PRIORS, SHAPE

KINDS = {
    "prior": PRIORS,
    "posterior": POSTERIORS,
    "likelihood": LIKELIHOODS,
    "objective": OBJECTIVES,
}


def test_no_part_is_left_out():
    for kind, home in (
        ("prior", vae_tf.priors),
        ("posterior", vae_tf.posteriors),
        ("likelihood", vae_tf.likelihoods),
    ):
        named = {name for name in home.__all__ if name.lower() != kind}
        assert named == {name.split(" ")[0] for name in KINDS[kind]}
    objectives = {
        name
        for name in vae_tf.objectives.__all__
        if isinstance(getattr(vae_tf.objectives, name), type)
        and issubclass(getattr(vae_tf.objectives, name), vae_tf.objectives.Objective)
    }
    named = {name.split(" ")[0].rstrip(",") for name in OBJECTIVES}
    assert named == objectives - {"Objective"}


ALONE = [(kind, name) for kind, parts in KINDS.items() for name in parts]


@pytest.mark.parametrize(("kind", "name"), ALONE, ids=lambda value: value)
def test_each_part_alone(kind, name):
    part = KINDS[kind][name]()
    parts = {kind: part}
    if kind == "posterior":
        parts["prior"] = PRIORS["StandardNormal"]()
    report = check(**parts, event_shape=SHAPE, latent_dim=LATENT_DIM, export=kind != "objective")
    assert report.ok, report


def covering() -> list[tuple[str, str, str, str]]:
    """Returns few combinations in which every pair of two parts of different kinds occurs."""
    names = [list(parts) for parts in KINDS.values()]
    everything = list(itertools.product(*names))
    order = np.random.default_rng(0).permutation(len(everything))

    def pairs(combination):
        return set(itertools.combinations(enumerate(combination), 2))

    missing = set().union(*map(pairs, everything))
    chosen = []
    while missing:
        best = max(order, key=lambda i: len(pairs(everything[i]) & missing))
        chosen.append(everything[best])
        missing -= pairs(everything[best])
    return chosen


@pytest.mark.slow
@pytest.mark.parametrize("names", covering(), ids=" + ".join)
def test_pairs_of_parts(names):
    parts = {kind: KINDS[kind][name]() for kind, name in zip(KINDS, names, strict=True)}
    report = check(**parts, event_shape=SHAPE, export=False)
    assert report.ok, report
