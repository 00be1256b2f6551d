"""How the parts are asked here."""

from vae_tf.conformance import QUESTIONS, check

from .parts import LATENT_DIM, SHAPE

SHAPES = {"Mixed": (6,)}  # it describes rows, not images
# The compilers of XLA and of the runtimes take most of the time.
FAST = [question for question in QUESTIONS if question not in ("xla", "export")]
FASTEST = ["fit", "evaluate", "save", "sample"]
COMPILERS = ["xla", "export"]


def ask(questions, **parts):
    shape = SHAPES.get(type(parts.get("likelihood")).__name__, SHAPE)
    report = check(**parts, event_shape=shape, latent_dim=LATENT_DIM, questions=questions)
    assert report.ok, report


def classes(module, base):
    """Returns the names of a package's public subclasses of `base`."""
    public = {name: getattr(module, name) for name in module.__all__}
    return {
        name
        for name, value in public.items()
        if isinstance(value, type) and issubclass(value, base) and value is not base
    }


def named(parts):
    """Returns the classes that the keys of `parts` begin with."""
    return {name.split(" ")[0].rstrip(",") for name in parts}
