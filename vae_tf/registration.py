"""Making this package's classes known to Keras without importing Keras.

`keras.models.load_model` finds custom classes only once their modules are imported, and
importing them takes the seconds of TensorFlow that `import vae_tf` promises not to take. So
they are imported along with Keras: now if it is loaded, else when somebody loads it.

The one who loads it may be a part of this package, half-way through its own import. So the
packages named here import Keras before anything of their own, and what they need of each other
they take from modules, not from packages.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys

_REGISTERED = ("vae_tf.models", "vae_tf.distributions", "vae_tf.objectives")


def register_with_keras() -> None:
    """Imports the registered classes now or right after Keras."""
    if "keras" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _AfterKeras())


def _register() -> None:
    for package in _REGISTERED:
        importlib.import_module(package)


class _AfterKeras(importlib.abc.MetaPathFinder):
    """Finds Keras as Python would, and adds one step after its execution."""

    def find_spec(self, fullname, path=None, target=None):
        """Returns Keras's own spec with its loader extended, for `keras` alone."""
        if fullname != "keras":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_then_register(module):
            sys.meta_path.remove(self)  # here, not above: a search is not yet an import
            execute(module)
            _register()

        spec.loader.exec_module = execute_then_register  # type: ignore[method-assign]
        return spec
