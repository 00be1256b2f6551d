"""Checks of an audit: whether the parts meet, and their numbers are what they are called.

Each returns what it saw, or raises Failed or Skipped.
"""

import keras
import numpy as np
import tensorflow as tf

from vae_tf import noise
from vae_tf.errors import ConfigError
from vae_tf.models.audit.subject import Failed, Skipped, Subject, names
from vae_tf.models.problems import DATA, STAGES
from vae_tf.models.shapes import batched, check_halves, fits
from vae_tf.objectives.terms import groups_of, kl_parts

DRAWS = 256  # of z for each example, for the KL
ERRORS = 5  # standard errors that an estimate may be off
MOST_KL = 1e4  # nats; no data of any use hold more at the start


def shapes(s: Subject) -> str:
    """Every tensor and distribution has the shape the next one takes."""
    vae, x, batch = s.vae, tf.constant(s.x), s.some()
    count, latent = len(s.x), vae.prior.latent_dim
    if vae.event_shape is not None and not fits(x.shape[1:], vae.event_shape):
        fix = "Reshape the data, or build the encoder for them."
        raise Failed(f"The encoder takes {batched(vae.event_shape)}; data are {x.shape}.", fix)
    check_halves(vae.parts)
    qz, pz = vae.parts.q(batch), vae.parts.p(batch)
    _shape("q(z|x): its batch", qz.batch_shape, [count], "encoder or the posterior")
    _shape("q(z|x): its event", qz.event_shape, [latent], "encoder or the posterior")
    _shape("p(z): its batch", pz.batch_shape, [count] if vae.prior.conditional else [], "prior")
    _shape("p(z): its event", pz.event_shape, [latent], "prior")
    z = qz.sample(2, seed=s.key(0))
    _shape("two draws of z", z.shape, [2, count, latent], "posterior")
    _shape("log q(z|x) of them", qz.log_prob(z).shape, [2, count], "posterior")
    _shape("log p(z) of them", pz.log_prob(z).shape, [2, count], "prior")
    px = vae.parts.px(z[0], batch)
    _shape("p(x|z): its event", px.event_shape, x.shape[1:], "decoder's last layers")
    _shape("p(x|z): its batch", px.batch_shape, [count], "likelihood")
    return f"x {batched(x.shape[1:])}, z {batched([latent])}, p(x|z) {batched(px.event_shape)}"


def support(s: Subject) -> str:
    """The likelihood gives the data a density."""
    whole = s.batch._replace(x=s.data) if s.batch.mask is None else s.batch
    s.vae.door.look(whole._replace(weight=None, condition=None), "audited", strict=True)
    low, high = s.vae.likelihood.support
    return f"{type(s.vae.likelihood).__name__} takes {low:g} to {high:g}"


def finite(s: Subject) -> str:
    """Weights and terms of the bound are numbers."""
    variables = s.vae.variables
    bad = [v for v in variables if not np.all(np.isfinite(v.numpy().astype("float64")))]
    broken = [s.path(v) for v in bad]
    if broken:
        seen = f"{names(broken)} {'holds' if len(broken) == 1 else 'hold'} NaN or infinity."
        raise Failed(seen, "Start from new weights, or from an earlier checkpoint.")
    terms = s.terms()
    stage = 0 if terms.problem is None else int(terms.problem[0])
    # Whether the data have a density is another check's question
    if stage and not (stage == DATA and np.all(np.isfinite(s.x))):
        first = STAGES[stage - 1]
        raise Failed(
            f"{first[0].upper()}{first[1:]} is not finite.",
            "Look for logs, divisions and exponentials there.",
        )
    return f"nll {np.mean(terms.nll):.4g}, kl {np.mean(terms.kl):.4g} nats"


def density(s: Subject) -> str:
    """A whole example has a log-density: summed over the event, with its normalizer.

    For densities p and p', E_p[p'(x) / p(x)] = 1. An average over D entries is the D-th root of
    a density, and the expectation of a root is below 1 (Jensen).
    """
    likelihood = s.vae.likelihood
    _, params = s.decoded()
    px = likelihood.distribution(params)
    fix = "Sum over the event: tfd.Independent(distribution, number of event axes)."
    if px.log_prob(s.x).shape != [len(s.x)]:
        raise Failed(f"log p(x|z) is {px.log_prob(s.x).shape}, not [{len(s.x)}].", fix)
    count = int(np.clip(2**22 // s.x.size, 4, 64))
    try:
        draws = [px.sample(count, seed=s.key(number)) for number in (2, 8)]
    except NotImplementedError:
        raise Skipped("p(x|z) cannot be sampled") from None
    own = [px.log_prob(x) for x in draws]
    rng = np.random.default_rng(s.seed)

    def direction(t):
        # All of one sign: what a missing normalizer adds would else cancel over the entries
        return np.abs(rng.normal(size=t.shape)).astype("float32")

    noise = keras.tree.map_structure(direction, params)

    def log_ratio(which: int, step: np.ndarray) -> np.ndarray:
        def moved(t, n):
            return tf.cast(t, tf.float32) + n * step.reshape([-1] + [1] * (n.ndim - 1))

        other = likelihood.distribution(keras.tree.map_structure(moved, params, noise))
        return (other.log_prob(draws[which]) - own[which]).numpy().astype("float64")

    # For each example a step at which log p'/p spreads by about 1/2: its exponential then has a
    # mean to be trusted. Found at draws of its own.
    step: np.ndarray = np.full(len(s.x), 1e-3, "float32")
    for _ in range(12):
        spread = np.std(log_ratio(1, step), axis=0)
        if np.all((spread > 0.3) & (spread < 0.6)):
            break
        factor = np.where(np.isfinite(spread), np.clip(0.45 / (spread + 1e-12), 0.1, 10), 0.15)
        step *= factor.astype("float32")
    ratio = log_ratio(0, step)
    spread = np.std(ratio, axis=0)
    ratio = ratio[:, (spread > 1e-3) & (spread < 1.2)]
    if not ratio.size:
        raise Skipped("log p(x|z) hardly follows the decoder's outputs")
    mean, error = _mean_and_error(np.exp(ratio).ravel())
    seen = f"E[p'(x)/p(x)] = {mean:.3f} ± {error:.3f}, 1 for a density"
    if abs(mean - 1) > ERRORS * error + 2e-3:
        raise Failed(seen + ".", fix + " Keep its normalizer.")
    return seen


def kl(s: Subject) -> str:
    """The KL in closed form is what draws estimate; without one, its entropy is."""
    qz, pz = s.vae.parts.q(s.some()), s.vae.parts.p(s.some())
    z = qz.sample(DRAWS, seed=s.key(3))
    log_q, log_p = (d.log_prob(z).numpy().astype("float64") for d in (qz, pz))
    try:
        # Of a hierarchy the mean over draws of closed forms, which depend on the draws above
        parts = kl_parts(groups_of(qz, pz, z), closed_form=True)
        exact, what = parts[:, 0].numpy(), "closed form"
        draws = log_q - log_p
    except ConfigError:
        try:
            exact, what = -qz.entropy().numpy(), "minus the entropy"
        except NotImplementedError:
            raise Skipped(f"no closed form; {np.mean(log_q - log_p):.4g} nats at draws") from None
        draws = log_q
    if exact.shape != (len(s.x),):
        fix = "Sum it over the latents: use tfd.Independent(..., 1)."
        raise Failed(f"The {what} is of shape {exact.shape}, not [{len(s.x)}].", fix)
    mean, error = _mean_and_error(np.mean(draws, 1))
    seen = f"{what} {np.mean(exact):.4g}, at draws {mean:.4g} ± {error:.2g} nats"
    rounding = 1e-5 * np.mean(np.abs(log_q) + np.abs(log_p))
    if not abs(np.mean(exact) - mean) <= ERRORS * error + rounding:
        raise Failed(seen + ".", "Check sample, log_prob, entropy and KL of posterior and prior.")
    return seen


def draws(s: Subject) -> str:
    """Draws made of noise, by which models train and exports draw, follow q(z|x) and p(z).

    Their mean log-density must be that of the distribution's own draws.
    """
    parts, batch, latent = s.vae.parts, s.some(), s.vae.prior.latent_dim
    seen, params = [], parts.encoded(batch)
    if parts.posterior.from_noise(params, tf.zeros([1, len(s.x), latent])) is not None:
        qz, z = parts.posterior.drawn(params, DRAWS, latent, s.key(10), 0)
        own = qz.log_prob(qz.sample(DRAWS, seed=s.key(11)))
        seen.append(_alike("q(z|x)", "posterior", qz.log_prob(z), own))
    rows = DRAWS * len(s.x)
    normal = noise.normals(s.key(12), 0, rows, latent)
    uniform = noise.uniforms(s.key(12), 0, rows, 1)[:, 0]
    try:
        z = parts.drawn(normal, uniform, batch.repeated(DRAWS), tf.ones([latent]))
    except ConfigError:  # a prior without `from_noise`
        z = None
    if z is not None:
        pz = parts.p(batch)
        z = tf.reshape(z, [DRAWS, len(s.x), latent])
        own = pz.sample([DRAWS] if pz.batch_shape.rank else z.shape[:2], seed=s.key(13))
        seen.append(_alike("p(z)", "prior", pz.log_prob(z), pz.log_prob(own)))
    if not seen:
        raise Skipped("neither posterior nor prior has a from_noise")
    return "; ".join(seen)


def posterior(s: Subject) -> str:
    """q(z|x) starts within reach of p(z)."""
    most = float(np.max(s.terms().kl))
    if most > MOST_KL:
        fix = "Scale the data, or start the encoder's last layers smaller."
        raise Failed(f"KL(q(z|x) || p(z)) is {most:.3g} nats for an example.", fix)
    return f"KL at most {most:.4g} nats for an example"


def _shape(what: str, got, expected, where: str) -> None:
    if list(got) != list(expected):
        seen = f"{what} must be {list(expected)}, is {list(got)}."
        raise Failed(seen, f"Change the {where}.")


def _alike(what: str, where: str, of_noise: tf.Tensor, own: tf.Tensor) -> str:
    """Returns the mean log-densities of two sets of draws [S, B], if they are alike."""
    pairs = [
        _mean_and_error(np.mean(part.numpy().astype("float64"), 1)) for part in (of_noise, own)
    ]
    (have, first), (want, second) = pairs
    error = np.hypot(first, second)
    seen = f"log {what} {have:.4g}, sampled {want:.4g}"
    if not abs(have - want) <= ERRORS * error + 1e-4 * abs(want):
        raise Failed(
            f"{seen} ± {error:.2g}.", f"Let from_noise of the {where} say what `distribution` says."
        )
    return seen


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
