"""Every part of the package answers the same questions, alone and with others."""

import itertools

import numpy as np
import pytest

import vae_tf
from vae_tf.conformance import QUESTIONS, check

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
# Mixed describes rows, not images
SHAPES = {"Mixed": (6,)}
# The compilers of XLA and of the runtimes take most of the time
FAST = [question for question in QUESTIONS if question not in ("xla", "export")]
FASTEST = ["fit", "evaluate", "save", "sample"]


def ask(questions, **parts):
    shape = SHAPES.get(type(parts.get("likelihood")).__name__, SHAPE)
    report = check(**parts, event_shape=shape, latent_dim=LATENT_DIM, questions=questions)
    assert report.ok, report


@pytest.mark.parametrize(("kind", "name"), ALONE, ids=lambda value: value)
def test_each_part_alone(kind, name):
    ask(FAST, **{kind: KINDS[kind][name]()})


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), ALONE, ids=lambda value: value)
def test_each_part_alone_in_compilers(kind, name):
    # An objective is not exported
    ask(["xla"] if kind == "objective" else ["xla", "export"], **{kind: KINDS[kind][name]()})


def covering() -> list[tuple[str, ...]]:
    """Returns few combinations in which every prior, posterior and objective meet each other.

    The likelihoods, which know nothing of latents, take turns.
    """
    kinds = ("prior", "posterior", "objective")
    everything = list(itertools.product(*(KINDS[kind] for kind in kinds)))
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


@pytest.mark.slow
@pytest.mark.parametrize("names", covering(), ids=" + ".join)
def test_parts_together(names):
    kinds = ("prior", "posterior", "objective", "likelihood")
    ask(FASTEST, **{k: KINDS[k][name]() for k, name in zip(kinds, names, strict=True)})
