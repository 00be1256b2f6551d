"""Distributions over groups of latents, each given those that were drawn before it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow_probability import distributions as tfd
from tensorflow_probability import random as tfp_random


class Level(NamedTuple):
    """A group of latents, given the draws before it."""

    own: tfd.Distribution  # of the group, event [L_g]
    state: Any = None  # what the next group is computed from, beside this one's draw
    prior: tfd.Distribution | None = None  # p of the group, where q was made of it


class Hierarchical(tfd.Distribution):
    """prod_g p(z_g | what was drawn before), the groups one after the other in one vector z.

    What was computed on the way to draws is kept with them: terms of a bound at these very draws
    cost no second run of the networks.

    Args:
        first: the level that is drawn first.
        further: for each later one a function of the draw before it, [..., L_g], and its state.
        sizes: the numbers of latents in the groups, in the order in which they lie in z.
        upwards: whether the last group in z is drawn first.
        way: the prior whose levels those of this distribution are, or are made of.
    """

    def __init__(
        self,
        first: Level,
        further: Sequence[Callable[[tf.Tensor, Any], Level]],
        sizes: Sequence[int],
        *,
        upwards: bool = False,
        way: Any = None,
    ):
        parameters = dict(locals())
        self.sizes, self.upwards = tuple(sizes), upwards
        self._order = list(range(len(self.sizes)))[:: -1 if upwards else 1]
        # In functions, as TFP looks through attributes for variables and wraps containers
        self._level, self._way = lambda n, *draw: further[n - 1](*draw) if n else first, lambda: way
        self._met: Callable[[], tuple] = lambda: (None, [], [])
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
        )

    @property
    def first(self) -> tfd.Distribution:
        """The distribution of the group that is drawn first, which depends on no draw."""
        return self._level(0).own

    def draw(self, one: Callable[[int, tfd.Distribution], tf.Tensor]) -> tf.Tensor:
        """Returns z [..., L], whose group g is one(g, its distribution), group after group."""
        levels, draws = self._walk(one)
        z = tf.concat(draws, -1) if len(draws) > 1 else draws[0]
        self._met = lambda: (z, levels, draws)
        return z

    def levels(self, z: tf.Tensor) -> list[Level]:
        """Returns the level of each group, given the draws in z [..., L] before it."""
        known, levels, _ = self._met()
        if known is z:
            return levels
        draws = tf.split(z, self.sizes, -1)
        return self._walk(lambda g, _: draws[g])[0]

    def parts(self, z: tf.Tensor) -> list[tf.Tensor]:
        """Returns the groups of z [..., L], as they were drawn: bijectors know what they made."""
        known, _, draws = self._met()
        return draws if known is z else tf.split(z, self.sizes, -1)

    def groups(self, z: tf.Tensor, along: tfd.Distribution | None = None) -> list:
        """Returns the distribution of each group, given the draws in z [..., L] before it.

        Args:
            z: draws.
            along: q(z|x); where it was made of this p(z), it has p of the groups at hand.
        """
        if isinstance(along, Hierarchical) and self._way() is along._way() is not None:
            return [self.first, *(level.prior for level in along.levels(z)[1:])]
        return [level.own for level in self.levels(z)]

    def _walk(self, one) -> tuple[list[Level], list[tf.Tensor]]:
        levels: dict[int, Level] = {}
        draws: dict[int, tf.Tensor] = {}
        last: tuple = ()
        for n, g in enumerate(self._order):
            levels[g] = self._level(n, *last)
            draws[g] = one(g, levels[g].own)
            last = draws[g], levels[g].state
        groups = range(len(self.sizes))
        return [levels[g] for g in groups], [draws[g] for g in groups]

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        # Not _sample_n, after which TFP reshapes: what is kept with z would not be found again.
        # The first group takes the seed itself: a single group draws as if it were alone.
        start, *later = self._order
        seeds = {start: seed}
        if later:
            seeds |= zip(later, tfp_random.split_seed(seed, len(later), "groups"), strict=True)
        return self.draw(lambda g, d: d.sample(sample_shape if g == start else (), seed=seeds[g]))

    def _log_prob(self, z):
        levels = zip(self.levels(z), self.parts(z), strict=True)
        return sum(level.own.log_prob(draw) for level, draw in levels)

    def _event_shape(self):
        return tf.TensorShape([sum(self.sizes)])

    def _event_shape_tensor(self):
        return tf.constant([sum(self.sizes)])

    def _batch_shape(self):
        return self.first.batch_shape

    def _batch_shape_tensor(self, **kwargs):
        return self.first.batch_shape_tensor()


def groups_in(
    distribution: tfd.Distribution, z: tf.Tensor, along: tfd.Distribution | None = None
) -> list[tfd.Distribution] | None:
    """Returns the distribution of each group of z [..., L], given others; None if there are none.

    Args:
        distribution: q(z|x) or p(z).
        z: draws.
        along: as for `Hierarchical.groups`.
    """
    if isinstance(distribution, Hierarchical):
        return distribution.groups(z, along)
    # Not isinstance: tfd.Blockwise(...) is not one if a member is no CompositeTensor
    return getattr(distribution, "distributions", None)
