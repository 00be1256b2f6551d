"""Time in epochs does not depend on how long they are, and is kept."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_tf import VAE
from vae_tf.distributions import Bernoulli
from vae_tf.networks import mlp_decoder, mlp_encoder
from vae_tf.objectives import LinearWarmup, as_schedule

SHAPE = (3, 2, 1)
X = (np.random.default_rng(0).random((24, *SHAPE)) > 0.5).astype("float32")


def made(beta=None, **options):
    encoder = mlp_encoder(SHAPE, 2, (4,), seed=1)
    decoder = mlp_decoder(2, Bernoulli().parameter_shapes(SHAPE), (4,), seed=2)
    vae = VAE(encoder, decoder, beta=beta or LinearWarmup(epochs=10))
    vae.compile(keras.optimizers.SGD(1e-3, **options))
    return vae


def mean_time(steps, epoch):
    """The mean over an epoch of beta = time / 10, for so many steps."""
    return (epoch + (steps - 1) / (2 * steps)) / 10


def betas(vae, data, **fit):
    return vae.fit(data, verbose=0, shuffle=False, **fit).history["beta"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:LinearWarmup reaches")
def test_epochs_of_other_lengths_and_runs_that_go_on(tmp_path):
    vae = made()
    seen = betas(vae, X, batch_size=4, epochs=2)
    seen += betas(vae, X, batch_size=12, epochs=3, initial_epoch=2)
    vae.save(tmp_path / "vae.keras")
    vae = keras.models.load_model(tmp_path / "vae.keras")
    # Keras counts a new fit from 0; the model's time goes on
    endless = tf.data.Dataset.from_tensors(X[:4]).repeat()
    seen += betas(vae, endless, steps_per_epoch=3, epochs=1)
    want = [mean_time(n, epoch) for epoch, n in enumerate((6, 6, 2, 3))]
    np.testing.assert_allclose(seen, want, rtol=1e-5)
    assert betas(vae, X, batch_size=12, epochs=8, initial_epoch=7) == pytest.approx(
        [mean_time(2, 7)], rel=1e-5
    )


@pytest.mark.filterwarnings("ignore:LinearWarmup reaches", "ignore:Your input ran out of data")
@pytest.mark.parametrize("steps", [1, "auto"])
def test_a_data_set_of_unknown_length_moves_by_epochs_first_and_by_steps_then(steps):
    data = tf.data.Dataset.from_tensor_slices(X).batch(4).filter(lambda x: True)
    vae = made()
    vae.compile(keras.optimizers.SGD(1e-3), steps_per_execution=steps)
    seen = betas(vae, data, epochs=3)
    # In the first epoch time stands still; the second is known to have 6 steps
    np.testing.assert_allclose(seen, [0, mean_time(6, 1), mean_time(6, 2)], rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:LinearWarmup reaches")
def test_accumulated_gradients_do_not_shorten_an_epoch():
    vae = made(gradient_accumulation_steps=3)
    seen = betas(vae, X, batch_size=4, epochs=2)
    np.testing.assert_allclose(seen, [mean_time(6, epoch) for epoch in (0, 1)], rtol=1e-5)
    # In steps: one for three batches
    vae = made(LinearWarmup(steps=20), gradient_accumulation_steps=3)
    seen = betas(vae, X, batch_size=4, epochs=1)
    np.testing.assert_allclose(seen, [np.mean([0, 0, 0, 1, 1, 1]) / 20], rtol=1e-5)


def test_a_loop_of_one_s_own_moves_steps_and_is_told_of_epochs():
    vae = made(LinearWarmup(steps=10))
    seen = []
    for _ in range(3):
        terms = vae(X, training=True)
        seen.append(float(tf.reduce_mean(terms.kl_term) / tf.reduce_mean(terms.kl)))
    np.testing.assert_allclose(seen, [0, 0.1, 0.2], rtol=1e-5, atol=1e-7)
    vae(X)  # no training
    vae(X, seed=tf.constant([0, 1]), training=True)  # a repeatable call leaves no trace
    assert float(vae.clock.time(vae.beta)) == 3
    vae = made()
    with pytest.warns(UserWarning, match="begin_epoch"):
        vae(X, training=True)
    for epoch in range(2):
        vae.clock.begin_epoch(steps=2)
        for step in range(2):
            assert float(vae.clock.time(vae.beta)) == epoch + step / 2
            vae(X, training=True)
        vae.clock.end_epoch()
    assert float(vae.clock.time(vae.beta)) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:LinearWarmup reaches")
def test_a_new_beta_counts_in_every_compiled_function():
    vae = made(1.0)
    assert betas(vae, X, epochs=1) == [1.0]
    assert vae.evaluate(X, verbose=0, return_dict=True)["beta"] == 1.0
    vae.beta = LinearWarmup(steps=1000)  # a graph of its own
    assert betas(vae, X, epochs=1)[0] < 0.01
    vae.beta = 0.25
    assert betas(vae, X, epochs=1) == [0.25]
    vae.beta = 0.5  # the same graph
    assert betas(vae, X, epochs=1) == [0.5]
    assert vae.evaluate(X, verbose=0, return_dict=True)["beta"] == 0.5


def test_files_of_version_0_1_0_tell_the_time():
    vae, schedule = made(), LinearWarmup(epochs=10)
    vae.optimizer.build(vae.trainable_variables)
    vae.load_own_variables({"0": np.int64(3), "1": np.int64(0), "2": np.int64(6)})
    vae.optimizer._iterations.assign(15)  # as they are loaded: after the model's own variables
    assert float(vae.clock.time(schedule)) == 2.5
    assert float(vae.clock.time(as_schedule(LinearWarmup(steps=9)))) == 15
