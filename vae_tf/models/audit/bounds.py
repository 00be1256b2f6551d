"""A check of an audit: whether parameters sit at the bounds that keep them finite."""

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
    parts, batch = s.vae.parts, s.some()
    spread = np.ma.masked_invalid(s.data.astype("float64")).std(0)
    _check_floors(parts.likelihood, np.ma.filled(spread, 0.0))
    seen: dict[str, list[Bounded]] = {}
    with watched() as seen["q(z|x)"]:
        z = parts.q(batch).sample(seed=s.key(9))
    with watched() as seen["p(x|z)"]:
        parts.log_px(z[tf.newaxis], batch)
    with watched() as seen["p(z)"]:
        parts.p(batch)
    varies = np.ma.filled(spread, 0.0) > 0
    shares = [_share(part, bound, varies) for part in seen for bound in seen[part]]
    if not shares:
        raise Skipped("no parameter has bounds")
    return f"{len(shares)} parameters within theirs, at most {max(shares):.0%} of one at a bound"


def _share(part: str, bound: Bounded, varies: np.ndarray) -> float:
    """Returns how many of its values are at a bound, or raises Failed if they are most."""
    raw = bound.raw.numpy()
    low = np.broadcast_to(bound.low, raw.shape)
    if raw.shape[1:] == varies.shape:
        raw, low = raw[:, varies], low[:, varies]  # A constant is known as exactly as allowed
    shares = [0.0]
    at_ends = raw <= low + CLOSE, raw >= bound.high - CLOSE
    for which, value, at, remedy in zip(
        ("lower", "upper"), (np.min(bound.low), bound.high), at_ends, bound.remedies, strict=True
    ):
        share = float(np.mean(at)) if varies.any() and at.size and remedy else 0.0
        if share > MOST:
            at_it = "is" if not raw.ndim else f"has {share:.0%} of its values"
            raise Failed(
                f"{bound.name} of {part} {at_it} at its {which} bound {value:.4g}.", remedy
            )
        shares.append(share)
    return max(shares)


def _check_floors(likelihood: Likelihood, spread: np.ndarray) -> None:
    """Raises Failed if the data's standard deviations are below the likelihood's least scale."""
    kinds = [(likelihood, spread)]
    if isinstance(likelihood, Mixed):
        columns = np.split(spread, np.cumsum(likelihood.sizes)[:-1])
        kinds = list(zip(likelihood.parts, columns, strict=True))
    for part, values in kinds:
        floor = float(np.min(getattr(part, "min_scale", 0.0)))
        typical = np.median(values[values > 0]) if np.any(values > 0) else np.inf
        if typical < 2 * floor:
            kind = type(part).__name__
            seen = f"{kind} is bounded by min_scale={floor:g}, data deviate by {typical:.3g}."
            fix = "Scale the data, or pass a smaller `min_scale`"
            own = f", such as that of {kind}.from_data(x)" if hasattr(part, "from_data") else ""
            raise Failed(seen, f"{fix}{own}.")
