"""The examples in docstrings hold, and every public name has one."""

import doctest
import importlib
import inspect
import pkgutil
import sys

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
    "vae_tf.codec.coding.Codec",
    "vae_tf.compare.comparing.compare",
    "vae_tf.exporting.bundle.verify_bundle",
    "vae_tf.exporting.bundle.write_bundle",
    "vae_tf.profiling.measuring.profile_training",
    "vae_tf.runs.bundle.export",
)


def public() -> dict:
    """Returns the classes and functions of every `__all__`, by the place of their definition."""
    packages = [vae_tf]
    for found in pkgutil.walk_packages(vae_tf.__path__, "vae_tf."):
        packages += [importlib.import_module(found.name)] if found.ispkg else []
    values = [vae_tf.conformance.check]
    for package in packages:
        names = set(getattr(package, "__all__", ()))
        values += [getattr(package, n) for n in names if f"{package.__name__}.{n}" not in WITHOUT]
    values = [value for value in values if inspect.isclass(value) or inspect.isfunction(value)]
    return {f"{value.__module__}.{value.__qualname__}": value for value in values}


def examples(values) -> dict[str, doctest.DocTest]:
    """Returns the examples of the modules that hold values, and the bases of those."""
    parts = [part for v in values for part in (inspect.getmro(v) if inspect.isclass(v) else [v])]
    modules = sorted({p.__module__ for p in parts if p.__module__.startswith("vae_tf")})
    finder = doctest.DocTestFinder()
    found = [t for m in modules for t in finder.find(sys.modules[m], m)]
    return {test.name: test for test in found if test.examples}


PUBLIC = public()
EXAMPLES = examples(PUBLIC.values())


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in EXAMPLES]
)
def test_examples_hold(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    test, told = EXAMPLES[name], []
    test.globs = dict(IMPORTED)  # of a module's own names only what a reader would import
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append)
    assert not told, "".join(told)


def test_every_public_name_has_an_example():
    assert sorted(set(PUBLIC) - set(EXAMPLES)) == []


def test_what_is_slow_is_an_example():
    assert set(SLOW) <= set(EXAMPLES)
