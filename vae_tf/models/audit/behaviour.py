"""Checks of an audit: whether the model does what a training takes for granted.

Each returns what it saw, or raises Failed or Skipped.
"""

import inspect
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from vae_tf.distributions.bounds import watched
from vae_tf.models.audit.subject import Failed, Skipped, Subject, close, names, tolerance_of
from vae_tf.objectives.base import Objective

FAR = 10.0  # a latent no prior would draw, and a user's slider may


def seed(s: Subject) -> str:
    """The seed decides the draw, and nothing else does."""
    first, again, other = s.terms(4), s.terms(4), s.terms(5)
    if not close(first.z, again.z, 0.0):
        fix = "Pass `seed` on in sample(); use tf.random.stateless_* in distributions."
        raise Failed("The same seed gives other draws of z.", fix)
    if not close(first.nll, again.nll, 1e-5):
        fix = "Add noise in training only, or draw it by a fixed seed."
        raise Failed("At the same z, log p(x|z) is another at each call.", fix)
    if np.array_equal(first.z, other.z):
        raise Failed("Another seed gives the same draws of z.", "Pass `seed` on in sample().")
    return "the same seed, the same z; another seed, another z"


def batch(s: Subject) -> str:
    """An example is treated alike, whatever company it is in."""
    if len(s.x) < 2:
        raise Skipped("it takes two examples")
    parts, tolerance = s.vae.parts, tolerance_of(s)
    z, _ = s.decoded()
    halves: dict[str, Callable] = {
        "encoder": lambda rows: parts.encoded(s.some(rows)),
        "decoder": lambda rows: parts.decoded(z[rows], s.some(rows)),
        "likelihood": lambda rows: -parts.log_px(z[None, rows], s.some(rows))[0],
    }
    for name, function in halves.items():
        together = keras.tree.flatten(function(slice(None)))
        if not all(map(close, together, keras.tree.flatten(function(slice(None))))):
            raise Skipped(f"the {name} is random, see `seed`")
        for size in {1, len(s.x) // 2}:
            alone = keras.tree.flatten(function(slice(size)))
            for a, b in zip(alone, together, strict=True):
                if not close(a, b[:size], tolerance):
                    fix = "Take no means or norms over axis 0; in layers, not over the batch."
                    away = f"by up to {np.max(np.abs(a - b[:size])):.2g}"
                    raise Failed(f"The {name} differs {away} for {size} of {len(s.x)}.", fix)
    return f"1 and {len(s.x) // 2} of {len(s.x)} alone: the same"


def training(s: Subject) -> str:
    """Training and evaluation ask for the same, but for dropout and its like."""
    calm, busy = s.terms(6), s.terms(6, training=True)
    pairs = [(getattr(calm, name), getattr(busy, name)) for name in ("nll", "kl", "kl_term")]
    values = f"{np.mean(calm.nll + calm.kl):.5g} in evaluation, {np.mean(busy.nll + busy.kl):.5g}"
    if all(close(a, b, tolerance_of(s)) for a, b in pairs):
        return f"nll + kl {values} in training"
    kinds = {type(layer).__name__ for layer in s.vae._flatten_layers() if _differs(layer)}
    if kinds:
        raise Skipped(f"{', '.join(sorted(kinds))}: nll + kl {values} in training")
    fix = "Let `training` decide about dropout and batch normalization alone, in layers."
    raise Failed(f"nll + kl is {values} in training, with no such layers.", fix)


def gradients(s: Subject) -> str:
    """The bound moves every variable that is to learn, and there is no other.

    The weights are shaken a little for each draw: what starts at zero hides what is before it.
    """
    vae, rng = s.vae, np.random.default_rng(s.seed)
    variables = vae.trainable_variables
    if not variables:
        raise Skipped("nothing is trained")
    start = [v.numpy() for v in variables]
    size: np.ndarray = np.zeros(len(variables))
    for draw in range(5):
        for v, value in zip(variables, start, strict=True):
            scale = np.sqrt(np.mean(np.square(value, dtype="float64"))) or 1.0
            v.assign(value + 0.01 * scale * rng.normal(size=value.shape))
        found, read = _gradients(s, 10 + draw)
        size += [0.0 if g is None else np.sum(np.abs(tf.convert_to_tensor(g))) for g in found]
    paths = [s.path(v) for v in variables]
    dead = [path for path, total in zip(paths, size, strict=True) if total == 0]
    if dead:
        fix = "Use it, drop it, or set `trainable = False`; look for stop_gradient and rounding."
        raise Failed(f"No gradient reaches {names(dead)}.", fix)
    wild = [path for path, total in zip(paths, size, strict=True) if not np.isfinite(total)]
    if wild:
        fix = "Look for square roots, logs and divisions at 0."
        raise Failed(f"The gradient of {names(wild)} is not finite.", fix)
    known = {id(v.value) for v in vae.variables}
    lost = [v.name for v in read if id(v) not in known]
    if lost:
        fix = "Make it with add_weight, in a layer the model holds as an attribute."
        raise Failed(f"The optimizer will not see {names(lost)}.", fix)
    return f"they reach all {len(variables)} variables"


def _gradients(s: Subject, number: int) -> tuple[list, tuple]:
    """Returns the gradients of a step by each variable, and the variables that it reads."""
    vae = s.vae
    # Watched: what is at a bound, for which `bounds` is there, has a gradient too
    if type(vae.objective).step is not Objective.step:  # one of several phases
        with watched():
            return vae.objective.step(vae, s.some())[1], ()
    variables = vae.trainable_variables
    with tf.GradientTape() as tape, watched():
        terms = s.terms(number, training=True)
        # What penalties and networks add counts; weight decay moves even what is not used
        added = vae.losses[: len(vae.losses) - sum(v.regularizer is not None for v in variables)]
        loss = tf.reduce_mean(terms.nll) + tf.add_n(added)
    return tape.gradient(loss, [v.value for v in variables]), tape.watched_variables()


def extremes(s: Subject) -> str:
    """The bound and its gradient are numbers at the edges of the data, and far out in z."""
    vae, fix = s.vae, "Bound what goes into exp, log and divisions."
    for name, edge in (("smallest", np.min), ("largest", np.max)):
        x = np.repeat(edge(s.data, axis=0, keepdims=True), 2, 0).astype("float32")
        with tf.GradientTape() as tape:
            terms = s.terms(7, x=x)
            loss = tf.reduce_mean(terms.nll + terms.kl)
        if not np.isfinite(loss):
            raise Failed(f"At the {name} value of each entry of x the bound is {loss:g}.", fix)
        _finite_gradient(tape, loss, [v.value for v in vae.trainable_variables], f"{name} x", fix)
    for value in (-FAR, FAR):
        z = tf.fill([1, vae.prior.latent_dim], value)
        with tf.GradientTape() as tape:
            tape.watch(z)
            log_px = tf.reduce_sum(vae.parts.log_px(z[None], s.some(slice(1))))
        if not np.isfinite(log_px):
            raise Failed(f"At z = {value:g} log p(x|z) is {log_px:g}.", fix)
        _finite_gradient(tape, log_px, [z], f"z = {value:g}", fix)
    return f"finite at the ends of x and at z = ±{FAR:g}"


def _differs(layer) -> bool:
    """Returns whether a layer is one that may behave otherwise in training.

    Of Keras's own those by name, for Dense takes `training` too; a user's if it takes it.
    """
    if isinstance(layer, keras.Model):
        return False
    if type(layer).__module__.startswith("keras."):
        marks = ("Dropout", "Noise", "BatchNorm", "SpectralNorm", "Random")
        names_of_kinds = "".join(kind.__name__ for kind in type(layer).__mro__)
        rate = getattr(layer, "dropout", 0) or getattr(layer, "recurrent_dropout", 0)
        return any(mark in names_of_kinds for mark in marks) or bool(rate)
    return "training" in inspect.signature(layer.call).parameters


def _finite_gradient(tape, target, sources, where: str, fix: str) -> None:
    for gradient in tape.gradient(target, sources):
        if gradient is not None and not np.all(np.isfinite(tf.convert_to_tensor(gradient))):
            raise Failed(f"At {where} a gradient is not finite.", fix)
