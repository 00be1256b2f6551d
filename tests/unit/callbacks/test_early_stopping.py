import keras
import numpy as np
import pytest

from vae_tf.callbacks import ResumableEarlyStopping


class Feed(keras.callbacks.Callback):
    """Puts the given bounds into the logs, before early stopping reads them."""

    def __init__(self, bounds):
        super().__init__()
        self.bounds = bounds

    def on_epoch_end(self, epoch, logs=None):
        logs["val_elbo"] = self.bounds[epoch]


def epochs_trained(bounds, patience, past=0, start=0):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = [{"val_elbo": b} for b in bounds[:past]]
    callbacks = [Feed(bounds), ResumableEarlyStopping(history, patience, start)]
    x = np.zeros((2, 1))
    model.fit(x, x, epochs=len(bounds), initial_epoch=past, callbacks=callbacks, verbose=0)
    return past + len(model.history.epoch)


BOUNDS = [-9.0, -5.0, -6.0, -7.0, -4.0, -8.0, -8.0, -8.0, -8.0]


def test_stops_when_the_bound_no_longer_rises():
    assert epochs_trained(BOUNDS, patience=3) == 8


@pytest.mark.slow
def test_a_restart_anywhere_stops_at_the_same_epoch():
    assert {epochs_trained(BOUNDS, 3, past=n) for n in range(8)} == {8}


def test_waits_for_the_warm_up():
    falling = [-1.0, -2.0, -3.0, -4.0, -3.5, -3.6, -3.7, -3.8]
    assert epochs_trained(falling, patience=2) == 3
    assert epochs_trained(falling, patience=2, start=3) == 7
