"""A model's whole state, to be put back after it was run for another end than training."""

import contextlib
from collections.abc import Iterator

# What `fit` sets besides variables. The compiled steps go too: their random kernels, if a user's
# network has any, remember how often they ran.
ATTRIBUTES = ("train_function", "_functions", "stop_training", "history")


class State:
    """The values of all variables of `vae`, its metrics and its optimizer, which is built.

    Args:
        vae: a compiled and built VAE.
    """

    def __init__(self, vae):
        if not vae.optimizer.built:
            vae.optimizer.build(vae.trainable_variables)
        variables = (*vae.variables, *vae.metrics_variables, *vae.optimizer.variables)
        self._values = [(variable, variable.numpy()) for variable in variables]

    def restore(self) -> None:
        """Sets all variables to what they were."""
        for variable, value in self._values:
            variable.assign(value)


@contextlib.contextmanager
def untouched(vae) -> Iterator[State]:
    """Gives the state of `vae` and restores it at the end, whatever happened."""
    state = State(vae)
    attributes = {name: getattr(vae, name, None) for name in ATTRIBUTES}
    vae.train_function, vae._functions = None, {}
    try:
        yield state
    finally:
        state.restore()
        for name, value in attributes.items():
            setattr(vae, name, value)
