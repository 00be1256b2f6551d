"""`.keras` files, weights, and the random state in them."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from vae_tf import VAE
from vae_tf.errors import ConfigError
from vae_tf.networks import mlp_decoder, mlp_encoder
from vae_tf.objectives import LinearWarmup

from .conftest import LATENT_DIM, SHAPE, make

GOLDEN = Path(__file__).parents[2] / "golden"


def weights_of(model):
    return model.get_weights() + [v.numpy() for v in model.optimizer.variables]


def assert_same_weights(a, b):
    for one, other in zip(weights_of(a), weights_of(b), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow_but(1)
def test_round_trip(vae, x, tmp_path):
    vae.beta = LinearWarmup(5, 2.0)
    vae.fit(x, epochs=2, verbose=0)
    vae.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    for part in ("prior", "posterior", "likelihood", "beta"):
        assert type(getattr(copy, part)) is type(getattr(vae, part))
        assert getattr(copy, part).get_config() == getattr(vae, part).get_config()
    assert_same_weights(vae, copy)
    assert copy.evaluate(x, return_dict=True, verbose=0) == vae.evaluate(
        x, return_dict=True, verbose=0
    )


def test_training_goes_on_bit_for_bit_after_a_round_trip(x, tmp_path):
    encoder = mlp_encoder(SHAPE, LATENT_DIM, (16,), dropout=0.2, input_dropout=0.1)
    decoder = mlp_decoder(LATENT_DIM, {"logits": SHAPE}, (16,), dropout=0.2)
    vae = VAE(encoder, decoder, beta=LinearWarmup(5))
    vae.compile("adam")
    vae.fit(x, epochs=2, shuffle=False, verbose=0)
    vae.save(tmp_path / "model.keras")
    vae.save_weights(tmp_path / "state.weights.h5")
    vae.fit(x, epochs=2, shuffle=False, verbose=0)

    reloaded = keras.models.load_model(tmp_path / "model.keras")
    reloaded.fit(x, epochs=2, shuffle=False, verbose=0)
    assert_same_weights(vae, reloaded)

    vae.load_weights(tmp_path / "state.weights.h5")
    vae.fit(x, epochs=2, shuffle=False, verbose=0)
    assert_same_weights(vae, reloaded)


def test_files_that_could_not_be_read_again_are_refused(tmp_path):
    for name in ("model.h5", "model"):
        with pytest.raises(ConfigError, match=r"saved as a \.keras file.*save_weights"):
            make().save(tmp_path / name)
    shared = keras.layers.Dense(2, name="shared")
    i, z = keras.Input((2,)), keras.Input((2,))
    heads = {name: keras.layers.Dense(2)(shared(i)) for name in ("z_mean", "z_log_var")}
    vae = VAE(keras.Model(i, heads), keras.Model(z, {"logits": shared(z)}))
    with pytest.raises(ConfigError, match=r"must not share layers. Received: shared/kernel in"):
        vae.save(tmp_path / "model.keras")
    assert not list(tmp_path.iterdir())


def test_config_round_trip(vae, x):
    copy = VAE.from_config(vae.get_config())
    assert copy.get_config() == vae.get_config()
    assert copy.count_params() == vae.count_params()


def test_mixed_precision_round_trip(x, tmp_path, set_dtype_policy):
    set_dtype_policy("mixed_bfloat16")
    vae = make()
    logs = vae.fit(x, epochs=2, verbose=0).history
    assert np.isfinite(logs["loss"]).all()
    terms = vae(x)
    assert terms.nll.dtype == terms.kl.dtype == "float32"
    vae.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert any(layer.compute_dtype == "bfloat16" for layer in copy.decoder.layers)
    np.testing.assert_array_equal(copy.reconstruct(x), vae.reconstruct(x))


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    ["import vae_tf, keras", pytest.param("import keras, vae_tf", marks=pytest.mark.slow)],
)
def test_loads_where_only_vae_tf_was_imported(x, tmp_path, imports):
    vae = make()
    vae.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    code = (
        f"{imports}; import numpy as np, sys; "
        "m = keras.models.load_model(sys.argv[1] + '/model.keras'); "
        "np.save(sys.argv[1] + '/y.npy', m.predict(np.load(sys.argv[1] + '/x.npy'), verbose=0))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), vae.predict(x, verbose=0))


def test_kerass_own_callbacks_work(x, tmp_path):
    vae = make()
    best = tmp_path / "best.keras"
    vae.fit(
        x,
        validation_data=x,
        epochs=3,
        verbose=0,
        callbacks=[
            keras.callbacks.ModelCheckpoint(best, "val_elbo", mode="max", save_best_only=True),
            keras.callbacks.EarlyStopping("val_elbo", mode="max", restore_best_weights=True),
            keras.callbacks.BackupAndRestore(tmp_path / "backup"),
            keras.callbacks.TensorBoard(tmp_path / "logs"),
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        ],
    )
    copy = keras.models.load_model(best)
    assert copy.evaluate(x, verbose=0) == vae.evaluate(x, verbose=0)
    assert list((tmp_path / "logs").rglob("events*"))


def test_decay_spares_all_but_kernels_also_after_loading(x, tmp_path):
    from vae_tf.distributions import MixtureOfNormals
    from vae_tf.models.optimizers import KernelAdamW

    vae = make(prior=MixtureOfNormals(LATENT_DIM, 3))
    vae.compile(KernelAdamW(0.1, weight_decay=0.5))
    vae.fit(x, verbose=0)
    vae.save(tmp_path / "model.keras")
    vae = keras.models.load_model(tmp_path / "model.keras")
    before = {w.path: w.numpy() for w in vae.trainable_weights}
    for state in vae.optimizer.variables[2:]:  # after iterations and learning rate: the moments
        state.assign(0 * state)
    zeros = [0 * w for w in vae.trainable_weights]
    vae.optimizer.apply(zeros, vae.trainable_weights)
    for w in vae.trainable_weights:
        factor = 0.95 if w.path.endswith("kernel") else 1.0
        np.testing.assert_allclose(w, factor * before[w.path], rtol=1e-6)


def test_a_file_of_version_0_1_0_loads_and_goes_on():
    """A mixture prior and a warm-up over four epochs, saved after two of eight steps each."""
    vae = keras.models.load_model(GOLDEN / "model_0_1_0.keras")
    x = (np.random.default_rng(0).random((256, 8, 8, 1)) < 0.4).astype("float32")
    # As that version said of it
    assert np.sum(vae.encode(x[:8]).mean()) == pytest.approx(-1.7726, abs=1e-3)
    assert np.sum(vae.reconstruct(x[:8])) == pytest.approx(254.2892, abs=1e-2)
    assert vae.evaluate(x, verbose=0, return_dict=True)["beta"] == 0.5
    logs = vae.fit(x, initial_epoch=2, epochs=4, verbose=0).history
    assert logs["beta"] == pytest.approx([0.5 + 3.5 / 32, 0.75 + 3.5 / 32])
