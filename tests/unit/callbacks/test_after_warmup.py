import keras
import numpy as np
import pytest

from vae_tf.callbacks import EarlyStopping, ModelCheckpoint

BOUNDS = [-1.0, -2.0, -3.0, -4.0, -3.5, -3.6, -3.7, -3.8]


class Feed(keras.callbacks.Callback):
    """Puts the given bounds into the logs, and says how long the warm-up lasts."""

    def __init__(self, bounds, warmup):
        super().__init__()
        self.bounds, self.warmup = bounds, warmup

    def on_epoch_end(self, epoch, logs=None):
        logs["val_elbo"] = self.bounds[epoch]
        self.model.warming_up = epoch < self.warmup
        self.model.layers[0].bias.assign([float(epoch)])


def trained(callback, bounds=BOUNDS, warmup=0):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.zeros((2, 1))
    callbacks = [Feed(bounds, warmup), callback]
    model.fit(x, x, epochs=len(bounds), callbacks=callbacks, verbose=0)
    return model


@pytest.mark.parametrize(("warmup", "epochs"), [(0, 3), (1, 4), (3, 7), (8, 8)])
def test_stops_when_the_bound_no_longer_rises_after_the_warm_up(warmup, epochs):
    # the bounds of a warm-up are high; without them the best is the fifth, -3.5
    model = trained(EarlyStopping(2), warmup=warmup)
    assert len(model.history.epoch) == epochs


def test_the_best_weights_are_those_of_an_epoch_that_counted():
    model = trained(EarlyStopping(2, restore_best_weights=True), warmup=3)
    assert model.layers[0].bias.numpy() == [4.0]


def test_a_rise_below_min_delta_is_none():
    assert len(trained(EarlyStopping(2, min_delta=0.3), [0.0, 0.2, 0.25, 9]).history.epoch) == 3


@pytest.mark.parametrize(("warmup", "best"), [(0, 0.0), (2, 2.0), (3, 4.0)])
def test_the_checkpoint_is_of_the_best_epoch_that_counted(tmp_path, warmup, best):
    path = tmp_path / "best.keras"
    trained(ModelCheckpoint(path), warmup=warmup)
    assert keras.models.load_model(path).layers[0].bias.numpy() == [best]


def test_every_epoch_that_counts_can_be_saved(tmp_path):
    trained(ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=False), warmup=6)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["7.keras", "8.keras"]


def test_missing_validation_is_told_once(tmp_path):
    for callback in (EarlyStopping(1), ModelCheckpoint(tmp_path / "best.keras")):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        x = np.zeros((2, 1))
        with pytest.warns(UserWarning, match=r"needs `val_elbo`.*Pass validation_data") as caught:
            model.fit(x, x, epochs=3, callbacks=[callback], verbose=0)
        assert len(caught) == 1
        assert len(model.history.epoch) == 3


@pytest.mark.slow
def test_a_vae_with_a_warm_up(tmp_path):
    import vae_tf
    from vae_tf.networks import mlp_decoder, mlp_encoder
    from vae_tf.objectives import LinearWarmup

    x = (np.random.default_rng(0).random((16, 4)) > 0.5).astype("float32")
    encoder, decoder = mlp_encoder((4,), 2, (8,)), mlp_decoder(2, {"logits": (4,)}, (8,))
    vae = vae_tf.VAE(encoder, decoder, beta=LinearWarmup(epochs=2))
    vae.compile()
    files = ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=False)
    callbacks = [EarlyStopping(5), files]
    vae.fit(x, validation_data=x, epochs=3, callbacks=callbacks, verbose=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2.keras", "3.keras"]
