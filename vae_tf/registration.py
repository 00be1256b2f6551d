"""Making this package's classes known to Keras without importing Keras.

`keras.models.load_model` finds custom classes only once their modules are imported, and
importing them takes the seconds of TensorFlow that `import vae_tf` promises not to take. So
they are imported along with Keras: now if it is loaded, else when somebody loads it.

The one who loads it may be a part of this package, half-way through its own import. So the parts
that `vae_tf.models` stands on import Keras before anything of their own, and it names their
modules, not their packages.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys

_REGISTERED = "vae_tf.models"  # imports every module that registers a class


def register_with_keras() -> None:
    """Imports the registered classes now or right after Keras."""
    if "keras" in sys.modules:
        importlib.import_module(_REGISTERED)
    else:
        sys.meta_path.insert(0, _AfterKeras())


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
            importlib.import_module(_REGISTERED)

        spec.loader.exec_module = execute_then_register  # type: ignore[method-assign]
        return spec
