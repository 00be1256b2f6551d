"""Saving the random state that Keras leaves out.

Keras saves no SeedGenerator: a model reloaded in mid-training would repeat its first draws and
its first dropout masks.
"""

import keras
import numpy as np

_PREFIX = "seed_state_"


def save_seed_states(model: keras.Model, store) -> None:
    """Adds the state of every SeedGenerator of `model`, dropout layers' included, to `store`."""
    for i, state in enumerate(_seed_states(model)):
        store[f"{_PREFIX}{i}"] = state.numpy()


def load_seed_states(model: keras.Model, store) -> dict:
    """Restores them, and returns the rest of `store`."""
    saved = {key: np.asarray(store[key]) for key in store.keys()}  # noqa: SIM118 (not a dict)
    for i, state in enumerate(_seed_states(model)):
        if f"{_PREFIX}{i}" in saved:
            state.assign(saved.pop(f"{_PREFIX}{i}"))
    return {key: value for key, value in saved.items() if not key.startswith(_PREFIX)}


def _seed_states(model: keras.Model) -> list:
    return [v for v in model.non_trainable_variables if v.path.endswith("seed_generator_state")]
