"""Bundles that tests only look at, written once in a test run."""

import contextlib
import fcntl
import os

from vae_tf import distributions, exporting, networks
from vae_tf.exporting.bundle import Bundle, _open
from vae_tf.models.parts import NAMES, Parts
from vae_tf.signatures.halves import Halves


def bundle_of(tmp_path_factory, name, **arguments) -> Bundle:
    """Returns the bundle called `name`, which no test may change.

    The first test that asks writes it, in whichever process of pytest-xdist; the others read it.

    Args:
        tmp_path_factory: pytest's fixture.
        name: of the bundle; each name belongs to one set of arguments.
        **arguments: of `write_bundle`, all but the directory; the same in every process.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # which all workers share
    directory = root / "bundles" / name
    directory.parent.mkdir(exist_ok=True)
    with _alone(directory.with_suffix(".lock")):
        # Publication renames the manifest last
        if not (directory / "manifest.json").exists():
            return write_bundle(**arguments, directory=directory)
    return _open(directory)


@contextlib.contextmanager
def _alone(path):
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_bundle(**given):
    """Returns the bundle of a model's five parts; all else is passed on."""
    parts = Parts(**{name: given.pop(name) for name in NAMES})
    return exporting.write_bundle(parts, **given)


def halves(shape, latent, *preprocessing, **parts):
    """Returns a model as its signatures see it; parts not given are small ones."""
    posterior = parts.get("posterior") or distributions.DiagonalNormal()
    likelihood = parts.get("likelihood") or distributions.Bernoulli()
    shapes = posterior.parameter_shapes(latent), likelihood.parameter_shapes(shape)
    made = {
        "encoder": lambda: networks.mlp_encoder(shape, latent, hidden=(2,), outputs=shapes[0]),
        "decoder": lambda: networks.mlp_decoder(latent, shapes[1], hidden=(2,)),
        "prior": lambda: distributions.StandardNormal(latent),
        "posterior": lambda: posterior,
        "likelihood": lambda: likelihood,
    }
    return Halves(
        Parts(**{name: parts.get(name) or make() for name, make in made.items()}),
        tuple(shape),
        *preprocessing,
    )
