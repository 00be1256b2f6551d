"""The examples in docstrings hold, and every public name has one."""

import doctest
import importlib
import inspect
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

import vae_tf

# As the docstring of vae_tf says
IMPORTED = {"np": np, "tf": tf, "keras": keras, "tfd": tfd, "vae_tf": vae_tf}

WITHOUT = {
    "vae_tf.bulk.Job": "needs Apache Beam, which is in an environment of its own",
    "vae_tf.bulk.run": "likewise",
}
# Whole exports, trainings, processes
SLOW = (
    "vae_tf.codec.Codec",
    "vae_tf.compare.compare",
    "vae_tf.export",
    "vae_tf.exporting.verify_bundle",
    "vae_tf.exporting.write_bundle",
    "vae_tf.profile_training",
)


def public() -> dict:
    """Returns the classes and functions of every `__all__`, each by the shortest of its names."""
    packages = [vae_tf, vae_tf.conformance]
    for found in pkgutil.walk_packages(vae_tf.__path__, "vae_tf."):
        packages += [importlib.import_module(found.name)] if found.ispkg else []
    places = [(f"{p.__name__}.{name}", p, name) for p in packages for name in _names(p)]
    found, seen = {}, set()
    for whole, package, name in sorted(places, key=lambda place: (place[0].count("."), place[0])):
        if whole in WITHOUT:
            continue
        value = getattr(package, name)
        if (inspect.isclass(value) or inspect.isfunction(value)) and value not in seen:
            found[whole] = value
            seen.add(value)
    return found


def _names(package):
    return ["check"] if package is vae_tf.conformance else getattr(package, "__all__", ())


PUBLIC = public()


def examples_of(name: str) -> list[doctest.DocTest]:
    """Returns those of a function, or of a class and its methods, as far as they have any."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = finder.find(PUBLIC[name], name, module=inspect.getmodule(PUBLIC[name]), globs=IMPORTED)
    return [test for test in found if test.examples]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in PUBLIC]
)
def test_examples_hold(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    for test in examples_of(name):
        told = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append)
        assert not told, "".join(told)


def test_every_public_name_has_an_example():
    missing = [n for n in PUBLIC if not any(test.name == n for test in examples_of(n))]
    assert missing == []
