"""A check of an audit: whether parameters sit at the bounds that keep them finite."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from vae_tf.distributions.bounds import Bounded, watched
from vae_tf.distributions.likelihoods.base import Likelihood
from vae_tf.distributions.likelihoods.mixed import Mixed
from vae_tf.models.audit.subject import Failed, Skipped, Subject

MOST = 0.5  # share of a parameter's values that may be at one bound
CLOSE = 0.02  # how far from a bound a value still counts as being at it


def bounds(s: Subject) -> str:
    """Few values are at a bound; if many are, the data's units are not those it was made for."""
    vae, x = s.vae, tf.constant(s.x)
    _check_floors(vae.likelihood, s.data)
    seen: dict[str, list[Bounded]] = {}
    with watched() as seen["q(z|x)"]:
        z = vae.encode(x).sample(seed=s.key(9))
    with watched() as seen["p(x|z)"]:
        vae.decode(z).log_prob(x)
    with watched() as seen["p(z)"]:
        vae.prior.distribution()
    shares = [_share(s, part, bound) for part in seen for bound in seen[part]]
    if not shares:
        raise Skipped("no parameter has bounds")
    return f"{len(shares)} parameters within theirs, at most {max(shares):.0%} of one at a bound"


def _share(s: Subject, part: str, bound: Bounded) -> float:
    """Returns how many of its values are at a bound, or raises Failed if they are most."""
    raw, varies = bound.raw.numpy(), np.ptp(s.data, 0) > 0
    if raw.shape[1:] == varies.shape:
        raw = raw[:, varies]  # A constant is known as exactly as the bound allows
    shares = [0.0]
    at_ends = raw <= bound.low + CLOSE, raw >= bound.high - CLOSE
    for which, value, at, remedy in zip(
        ("lower", "upper"), (bound.low, bound.high), at_ends, bound.remedies, strict=True
    ):
        share = float(np.mean(at)) if varies.any() and at.size and remedy else 0.0
        if share > MOST:
            at_it = "is" if not raw.ndim else f"has {share:.0%} of its values"
            raise Failed(
                f"{bound.name} of {part} {at_it} at its {which} bound {value:.4g}.", remedy
            )
        shares.append(share)
    return max(shares)


def _check_floors(likelihood: Likelihood, data: np.ndarray) -> None:
    """Raises Failed if the data vary less than the likelihood's smallest scale."""
    for part, values in _columns(likelihood, data):
        floor, spread = getattr(part, "min_scale", 0.0), np.std(values.astype("float64"), 0)
        if np.any(spread > 0) and np.median(spread[spread > 0]) < 2 * floor:
            kind, typical = type(part).__name__, np.median(spread[spread > 0])
            raise Failed(
                f"The data's standard deviation is {typical:.3g}, and {kind} is bounded by "
                f"min_scale={floor:g}.",
                f"Scale the data, or pass a smaller `min_scale`: {kind}.from_data(x) chooses it."
                if hasattr(part, "from_data")
                else "Scale the data, or pass a smaller `min_scale`.",
            )


def _columns(likelihood: Likelihood, data: np.ndarray) -> Iterator[tuple[Likelihood, np.ndarray]]:
    if not isinstance(likelihood, Mixed):
        yield likelihood, data
        return
    ends = np.cumsum(likelihood.sizes)[:-1]
    yield from zip(likelihood.parts, np.split(data, ends, -1), strict=True)
