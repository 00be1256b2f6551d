"""An audit of a model before it is trained: what users' own networks get wrong, found by running.

What is asked is in `mathematics.py` and `behaviour.py`; here is how it is asked, leaving no
trace, and told.
"""

import contextlib
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np

from vae_tf.data.batch import as_array
from vae_tf.errors import DataError
from vae_tf.models.audit import behaviour, mathematics
from vae_tf.models.audit.bounds import bounds
from vae_tf.models.audit.outputs import outputs
from vae_tf.models.audit.past import past
from vae_tf.models.audit.subject import Failed, Skipped, Subject
from vae_tf.models.inputs import data_of, is_stream
from vae_tf.models.shapes import batched

WIDTH = 100
STATUSES = ("ok", "failed", "skipped")

CHECKS: dict[str, Callable[[Subject], str]] = {
    "shapes": mathematics.shapes,
    "support": mathematics.support,
    "finite": mathematics.finite,
    "density": mathematics.density,
    "past": past,
    "kl": mathematics.kl,
    "draws": mathematics.draws,
    "posterior": mathematics.posterior,
    "outputs": outputs,
    "bounds": bounds,
    "seed": behaviour.seed,
    "batch": behaviour.batch,
    "training": behaviour.training,
    "gradients": behaviour.gradients,
    "extremes": behaviour.extremes,
}


def _outside(s: Subject) -> bool:
    """Returns whether the data are refused by `fit` too; grey values for a Bernoulli are not."""
    try:
        s.vae.likelihood.check_support(s.data)
    except Exception:
        return True
    return False


# What makes all later answers worthless if it failed
GATES: dict[str, Callable[[Subject], bool]] = {
    "shapes": lambda s: True,
    "support": _outside,
    "finite": lambda s: True,
}


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: name of the check.
        status: "ok", "failed" or "skipped".
        seen: the observation, or the reason for skipping the check.
        fix: a remedy, if the check failed.

    Example:
        >>> from vae_tf.models.audit import Finding
        >>> Finding("finite", "failed", seen="NaN in logits", fix="Lower the learning rate.").fix
        'Lower the learning rate.'
    """

    name: str
    status: str
    seen: str
    fix: str = ""


@dataclass(frozen=True)
class Audit:
    """The findings of an audit; `str` gives their table.

    Attributes:
        findings: one for each check, in the order of the checks.

    Example:
        >>> from vae_tf.models.audit import Audit, Finding
        >>> shapes = Finding("shapes", "ok", "x [8]")
        >>> finite = Finding("finite", "failed", "NaN in logits")
        >>> found = Audit((shapes, finite))
        >>> found.ok, found["finite"].seen
        (False, 'NaN in logits')
        >>> print(found)
        shapes  ok       x [8]
        finite  failed   NaN in logits
        1 ok, 1 failed, 0 skipped
    """

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings that failed."""
        return tuple(f for f in self.findings if f.status == "failed")

    def __getitem__(self, name: str) -> Finding:
        """Returns the finding of that name."""
        return next(f for f in self.findings if f.name == name)

    def __str__(self) -> str:
        names = max(len(f.name) for f in self.findings) + 2
        margin = " " * (names + 9)
        lines = []
        for f in self.findings:
            text = f.seen + (f" {f.fix}" if f.fix else "")
            start = f"{f.name:<{names}}{f.status:<9}"
            lines += textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=margin) or [
                start
            ]
        counts = [f"{sum(f.status == s for f in self.findings)} {s}" for s in STATUSES]
        return "\n".join([*lines, ", ".join(counts)])


def audit(
    vae,
    data,
    num_examples: int = 32,
    seed: int = 0,
    print_fn: Callable[[str], object] | None = print,
) -> Audit:
    """Returns the findings of all checks of `vae` at `data`, and passes their table to `print_fn`.

    It raises nothing because of the model or the data: a check that cannot be finished has failed,
    and says why.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> vae = vae_tf.VAE(encoder, decoder)
        >>> vae.check(np.eye(8), print_fn=None).ok
        True
    """
    findings: list[Finding] = []
    try:
        subject = _subject(vae, data, num_examples, seed)
        known = subject.data[~np.isnan(subject.data)]
        value_range = f"{np.min(known):g} to {np.max(known):g}" if known.size else "nothing known"
        count, shape = len(subject.data), batched(subject.data.shape[1:])
        seen = f"{len(subject.x)} of {count} examples {shape}, {value_range}"
        findings.append(Finding("data", "ok", seen))
        closed = ""
    except Exception as error:
        findings.append(_raised("data", error))
        closed = "data"
    for name, check in CHECKS.items():
        if closed:
            findings.append(Finding(name, "skipped", f"`{closed}` comes first"))
            continue
        findings.append(_answer(name, check, subject))
        if findings[-1].status == "failed" and GATES.get(name, lambda s: False)(subject):
            closed = name
    report = Audit(tuple(findings))
    if print_fn is not None:
        print_fn(str(report))
    return report


def _answer(name: str, check: Callable[[Subject], str], subject: Subject) -> Finding:
    try:
        with np.errstate(all="ignore"), unchanged(subject.vae):
            return Finding(name, "ok", check(subject))
    except Failed as failure:
        return Finding(name, "failed", str(failure), failure.fix)
    except Skipped as skipped:
        return Finding(name, "skipped", str(skipped))
    except Exception as error:
        return _raised(name, error)


def _raised(name: str, error: Exception) -> Finding:
    text = " ".join(str(error).split())
    seen = text if isinstance(error, DataError) else f"{type(error).__name__}: {text}"
    return Finding(name, "failed", seen if len(seen) < 600 else seen[:600] + " ...")


def _subject(vae, data, num_examples: int, seed: int) -> Subject:
    if is_stream(data):
        data = next(iter(data_of(data)), None)
        if data is None:
            fix = "Check the files, the split's name and any filter."
            raise DataError("The data must hold examples", "an empty stream", fix)
    batch = vae.door.parse(as_array(data, "audited") if isinstance(data, list) else data)
    values = as_array(batch.x, "audited")
    if not values.ndim or not len(values):
        fix = "Pass some 32 of your examples."
        raise DataError("The data must hold examples", f"shape {values.shape}", fix)
    rows = slice(max(1, int(num_examples)))
    some = keras.tree.map_structure(
        lambda value: None if value is None else np.asarray(value)[rows],
        batch._replace(x=values, label=None, weight=None),
    )
    # At the start of a warm-up beta is 0, and what learns from the KL alone would seem to be dead
    twin = vae.replace(beta=1.0, kl_control=None)
    return Subject(twin, values, some._replace(x=some.x.astype("float32")), int(seed))


@contextlib.contextmanager
def unchanged(vae) -> Iterator[None]:
    """Puts weights, random streams and running means back, whatever a step in training did."""
    values = [(v, v.numpy()) for v in (*vae.variables, *vae.metrics_variables)]
    try:
        yield
    finally:
        for variable, value in values:
            variable.assign(value)
