"""Questions that every prior, posterior, likelihood and objective must answer, also your own.

report = vae_tf.conformance.check(prior=MyPrior(2))
assert report.ok, report
"""

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.distributions.likelihoods import Bernoulli, Likelihood
from vae_tf.distributions.posteriors import DiagonalNormal, Posterior
from vae_tf.distributions.priors import Prior, StandardNormal
from vae_tf.evaluation import log_likelihood
from vae_tf.models import VAE
from vae_tf.models.audit import Audit, Finding
from vae_tf.networks import mlp_decoder, mlp_encoder
from vae_tf.networks.policies import dtype_policy
from vae_tf.objectives import ELBO, KLControl, Objective
from vae_tf.runs.bundle import export as export_bundle

EXAMPLES, EPOCHS = 192, 20


def check(
    *,
    prior: Prior | None = None,
    posterior: Posterior | None = None,
    likelihood: Likelihood | None = None,
    objective: Objective | None = None,
    kl_control: KLControl | None = None,
    penalties: Sequence[Any] = (),
    event_shape: Sequence[int] = (4, 3, 1),
    latent_dim: int = 2,
    questions: Sequence[str] | None = None,
    seed: int = 0,
) -> Audit:
    """Returns the answers of a small VAE of these parts to all questions; raises nothing.

    The data are drawn from the likelihood itself, under a decoder of other weights. Copies of the
    parts are trained, made from their configurations; the parts themselves stay as they are.

    Args:
        prior: p(z) over `latent_dim` latents; a StandardNormal if None.
        posterior: q(z|x); a DiagonalNormal if None.
        likelihood: p(x|z); a Bernoulli if None.
        objective: the bound; the ELBO if None.
        kl_control: as for a VAE.
        penalties: as for a VAE.
        event_shape: shape of one example; (H, W, C) if the model is exported.
        latent_dim: L; a given `prior` has its own.
        questions: names of the questions to ask, keys of QUESTIONS; all if None, which takes a
            minute.
        seed: seed of weights, data and draws.

    Example:
        >>> report = vae_tf.conformance.check(
        ...     prior=vae_tf.priors.StandardNormal(2), questions=["configuration", "density"]
        ... )
        >>> report.ok
        True
    """
    subject = _Subject(
        {
            "prior": prior or StandardNormal(latent_dim),
            "posterior": posterior or DiagonalNormal(),
            "likelihood": likelihood or Bernoulli(),
            "objective": objective or ELBO(),
            "kl_control": kl_control,
            "penalties": list(penalties),
        },
        tuple(event_shape),
        seed,
    )
    asked = {name: QUESTIONS[name] for name in questions or QUESTIONS}
    return Audit(tuple(_ask(name, question, subject) for name, question in asked.items()))


class _Subject:
    """The parts in question, and models made of copies of them."""

    def __init__(self, parts: dict, event_shape: tuple[int, ...], seed: int):
        self.parts, self.event_shape, self.seed = parts, event_shape, seed
        self.latent_dim = parts["prior"].latent_dim

    def model(self, seed: int = 0, **compile_options) -> VAE:
        """Returns a compiled VAE of fresh copies of the parts."""
        parts = {name: _copies(part) for name, part in self.parts.items()}
        heads = parts["posterior"].parameter_shapes(self.latent_dim)
        outputs = parts["likelihood"].parameter_shapes(self.event_shape)
        first = 2 * (self.seed + seed)
        own = {"hidden": (32,), "condition": self.parts["objective"].num_classes}
        encoder = mlp_encoder(self.event_shape, self.latent_dim, outputs=heads, seed=first, **own)
        decoder = mlp_decoder(self.latent_dim, outputs, seed=first + 1, **own)
        vae = VAE(encoder, decoder, seed=self.seed, **parts)
        # Clipped, or the square of a first gradient may overflow
        vae.compile(keras.optimizers.Adam(1e-2, global_clipnorm=10.0), **compile_options)
        return vae

    def data(self) -> np.ndarray:
        """Returns examples the likelihood itself has drawn, [N, *event]."""
        z = tf.random.stateless_normal([EXAMPLES, self.latent_dim], [self.seed, 1])
        # Small: of large z a network makes rates and scales that no few steps of Adam can follow
        px = self.model(seed=1).decode(0.5 * tf.tanh(z), condition=self.labels(every=1))
        return px.sample(seed=[self.seed, 2]).numpy().astype("float32")

    def labels(self, every: int = 2) -> np.ndarray | None:
        """Returns the classes of one in so many examples, -1 of the others; None without any."""
        n, classes = np.arange(EXAMPLES), self.parts["objective"].num_classes
        return classes and np.where(n % every, -1, n % classes)

    def trained(self) -> tuple[VAE, np.ndarray]:
        """Returns a model and the data it was fitted to; the same one at each call."""
        if not hasattr(self, "_trained"):
            vae, x = self.model(), self.data()
            vae.fit(x, self.labels(), batch_size=64, epochs=EPOCHS, verbose=0)
            self._trained = vae, x
        return self._trained


def _copies(part):
    """Returns a copy made from the configuration of a part, a list of parts or None."""
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(part))


def _ask(name: str, question: Callable, subject: _Subject) -> Finding:
    try:
        return Finding(name, "ok", question(subject) or "", "")
    except Exception as error:  # whatever a user's own part raises is the answer
        seen = " ".join(str(error).split()) or type(error).__name__
        return Finding(name, "failed", seen, (question.__doc__ or "").splitlines()[0])


def _require(holds: bool, seen: str) -> None:
    if not holds:
        raise AssertionError(seen)


def survives_its_configuration(subject: _Subject) -> str:
    """from_config(get_config()) must give the same configuration, as JSON."""
    for part in subject.parts.values():
        for one in part if isinstance(part, list) else [part]:
            if one is not None:
                given, got = (json.dumps(p.get_config(), default=str) for p in (one, _copies(one)))
                _require(given == got, f"{given} became {got}")
    return ""


def integrates_to_one(subject: _Subject) -> str:
    """exp(log p(z)) must be a density: its integral over z is 1."""
    pz, zeros = subject.model().prior.distribution(), tf.zeros([subject.latent_dim])
    proposal = tfd.Independent(tfd.StudentT(3.0, zeros, 2.0 * tf.ones_like(zeros)), 1)
    z = proposal.sample(100_000, seed=[subject.seed, 3])
    return _has_mean_one(pz.log_prob(z) - proposal.log_prob(z))


def draws_what_it_describes(subject: _Subject) -> str:
    """Draws of the prior must have its density: E[t(z) / p(z)] is 1 for any density t within."""
    pz = subject.model().prior.distribution()
    z = pz.sample(100_000, seed=[subject.seed, 4])
    _require(tuple(z.shape) == (100_000, subject.latent_dim), f"draws {tuple(z.shape)}")
    mean, scale = tf.reduce_mean(z, 0), 0.3 * tf.math.reduce_std(z, 0)
    inside = tfd.Independent(tfd.Normal(mean, scale), 1)
    return _has_mean_one(inside.log_prob(z) - pz.log_prob(z))


def _has_mean_one(log_ratio: tf.Tensor) -> str:
    ratio = np.exp(log_ratio.numpy().astype("float64"))
    error = ratio.std() / math.sqrt(len(ratio))
    seen = f"{ratio.mean():.4f} with a standard error of {error:.4f}"
    _require(abs(ratio.mean() - 1) < 5 * error + 1e-6, seen)
    return seen


def fits(subject: _Subject) -> str:
    """The loss must fall in training."""
    losses = np.array(subject.trained()[0].history.history["loss"])
    # Estimators by the score function climb at times; what counts is where they get
    seen = f"{losses[:3].mean():.3f}, then {losses[3:].min():.3f} nats"
    _require(bool(np.isfinite(losses).all() and losses[3:].min() < losses[:3].mean()), seen)
    return seen


def evaluates_what_it_reports(subject: _Subject) -> str:
    """Two evaluations must agree, and the parts add up."""
    vae, x = subject.trained()
    first = vae.evaluate(x, verbose=0, return_dict=True)
    again = vae.evaluate(x, verbose=0, return_dict=True)
    _require(first == again, f"{first}, then {again}")
    rest = first["elbo"] + first["nll"] + first["kl"]
    _require(abs(rest) < 1e-4 * (1 + abs(first["elbo"])), f"elbo + nll + kl = {rest}")
    return f"elbo {first['elbo']:.3f} nats"


def bounds_the_likelihood(subject: _Subject) -> str:
    """The ELBO must not exceed log p(x), nor log p(x) fall with more samples."""
    vae, x = subject.trained()
    few, many = (log_likelihood(vae, x, k, seed=subject.seed) for k in (1, 200))
    error = 5 * math.hypot(
        float(np.std(few.per_example - many.per_example)) / math.sqrt(len(x)),
        many.monte_carlo_stderr,
    )
    seen = f"{few.mean:.3f} with one sample, {many.mean:.3f} with 200"
    _require(few.mean <= many.mean + error, seen)
    return seen


def saves_and_loads(subject: _Subject) -> str:
    """A saved and loaded model must evaluate as before."""
    vae, x = subject.trained()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.keras"
        vae.save(path)
        loaded = keras.models.load_model(path)
    before, after = (m.evaluate(x, verbose=0, return_dict=True) for m in (vae, loaded))
    _require(before == after, f"{before}, then {after}")
    return ""


def samples_and_reconstructs(subject: _Subject) -> str:
    """Samples, reconstructions and paths must be finite and shaped like the data."""
    vae, x = subject.trained()
    images = {
        "sample": vae.sample(5, seed=0),
        "reconstruct": vae.reconstruct(x[:5]),
        "interpolate": vae.interpolate(x[0], x[1], 5),
    }
    for name, image in images.items():
        _require(image.shape == (5, *subject.event_shape), f"{name} gave {image.shape}")
        _require(bool(np.isfinite(image).all()), f"{name} gave numbers that are not finite")
    same = np.array_equal(images["sample"], vae.sample(5, seed=0))
    _require(same, "two draws of one seed differ")
    return ""


def passes_the_audit(subject: _Subject) -> str:
    """VAE.check must find nothing."""
    vae, x = subject.trained()
    report = vae.check(x, print_fn=None)
    _require(report.ok, str(report))
    return ""


def compiles_with_XLA(subject: _Subject) -> str:
    """Under jit_compile=True a model must train, and its losses be those of one without."""
    x, seed = subject.data(), tf.constant([subject.seed, 6])
    vae = subject.model(jit_compile=True)
    call = tf.function(lambda x: vae(x, seed=seed), jit_compile=True)
    plain, compiled = ((t.nll + t.kl_term).numpy() for t in (vae(x, seed=seed), call(x)))
    vae.fit(x, subject.labels(), epochs=1, verbose=0)
    # XLA draws other numbers of the same distribution
    difference = (compiled - plain).astype("float64")
    error = difference.std() / math.sqrt(len(x))
    seen = f"they differ by {difference.mean():.4f}, with a standard error of {error:.4f}, nats"
    _require(abs(difference.mean()) < 5 * error + 1e-4 * (1 + abs(plain.mean())), seen)
    return seen


def stays_in_float32(subject: _Subject) -> str:
    """Under mixed_bfloat16 the terms must be float32 and near those of float32."""
    x, seed = subject.data(), tf.constant([subject.seed, 5])
    with dtype_policy("mixed_bfloat16"):
        rough = subject.model()
        terms = rough(x, seed=seed)
    precise = subject.model()
    precise(x)
    precise.set_weights(rough.get_weights())  # a part's own layers may have no seed
    exact = precise(x, seed=seed)
    _require(terms.nll.dtype == terms.kl_term.dtype == tf.float32, f"{terms.nll.dtype}")
    half, full = (float(tf.reduce_mean(t.nll + t.kl_term)) for t in (terms, exact))
    seen = f"{half:.3f} and {full:.3f} nats"
    # bfloat16 has 3 digits, and exp() of a rate or a scale multiplies what the fourth would be
    _require(abs(half - full) < 0.2 * (1 + abs(full)), seen)
    return seen


def exports(subject: _Subject) -> str:
    """Encoder and decoder must agree with Keras in the C++ loader and in LiteRT."""
    vae, _ = subject.trained()
    with tempfile.TemporaryDirectory() as directory:
        bundle = export_bundle(vae, Path(directory) / "bundle")
        return f"signatures {', '.join(bundle.manifest['signatures'])}"


QUESTIONS: dict[str, Callable[[_Subject], str]] = {
    "configuration": survives_its_configuration,
    "density": integrates_to_one,
    "draws": draws_what_it_describes,
    "fit": fits,
    "evaluate": evaluates_what_it_reports,
    "log_likelihood": bounds_the_likelihood,
    "save": saves_and_loads,
    "sample": samples_and_reconstructs,
    "audit": passes_the_audit,
    "xla": compiles_with_XLA,
    "bfloat16": stays_in_float32,
    "export": exports,
}
