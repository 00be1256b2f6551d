import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_tf.errors import DataError, NonFiniteError
from vae_tf.profiling.state import State

from .conftest import SHAPE, make


def test_a_training_that_explodes_stops_and_says_where(x):
    vae = make()
    vae.compile(keras.optimizers.SGD(1e20))
    with pytest.raises(NonFiniteError, match=r"first bad term being .*Lower the learning rate"):
        vae.fit(x, epochs=50, verbose=0)


STAGES = {
    "the latent draw": lambda vae: spoil(vae.encoder),
    "the decoder's output": lambda vae: spoil(vae.decoder),
}


def spoil(network):
    layer = next(layer for layer in network.layers if layer.name.endswith("_output"))
    layer.bias.assign(layer.bias * 0 + np.nan)


@pytest.mark.slow_but(1)
@pytest.mark.parametrize("stage", STAGES)
def test_the_first_bad_term_is_named(vae, x, stage):
    STAGES[stage](vae)
    with pytest.raises(NonFiniteError, match=f"first bad term being {stage}"):
        vae.evaluate(x, verbose=0)
    with pytest.raises(NonFiniteError, match=f"in batch 1 .* first bad term being {stage}"):
        vae.fit(x, epochs=2, verbose=0)


@pytest.fixture(scope="module")
def compiled():
    vae = make()
    vae.optimizer.build(vae.trainable_variables)
    return vae, State(vae)


@pytest.fixture
def ready(compiled):
    """A model that is compiled once for all that follows, and begins anew."""
    vae, state = compiled
    state.restore()
    return vae


def good(n=8):
    return (np.random.default_rng(1).random((n, *SHAPE)) > 0.5).astype("float32")


def fields(bad_batch, count=6, **bad):
    """Batches of good examples, of which one is bad at one place."""
    for i in range(1, count + 1):
        x, weight = good(), np.ones(8, "float32")
        if i == bad_batch:
            x.flat[5] = bad.get("x", x.flat[5])
            weight[3] = bad.get("weight", 1.0)
        yield {"x": x, "weight": weight}


def dataset(*arguments, **bad):
    spec = {"x": tf.TensorSpec([None, *SHAPE]), "weight": tf.TensorSpec([None])}
    return tf.data.Dataset.from_generator(lambda: fields(*arguments, **bad), output_signature=spec)


BAD = {
    "support": ({"x": 255.0}, r"Bernoulli takes data from 0 to 1.*255 in batch 5"),
    "NaN": ({"x": np.nan}, r"finite numbers.*nan in batch 5"),
    "infinite": ({"x": -np.inf}, r"-inf in batch 5"),
    "weight": ({"weight": -1.0}, r"sample_weight must be finite and not negative.*-1 in batch 5"),
    "NaN weight": ({"weight": np.nan}, r"sample_weight.*nan in batch 5"),
    "infinite weight": ({"weight": np.inf}, r"sample_weight.*inf in batch 5"),
}


@pytest.mark.slow_but(3)
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("kind", BAD)
def test_every_batch_is_looked_at(ready, compiled, kind):
    bad, message = BAD[kind]
    with pytest.raises(DataError, match=message + r".*of epoch 1 of the training data"):
        ready.fit(dataset(5, **bad), shuffle=False, verbose=0)
    compiled[1].restore()
    with pytest.raises(DataError, match=message + r".*of the evaluation data"):
        ready.evaluate(dataset(5, **bad), verbose=0)
    with pytest.raises(DataError, match=message + r".*of the validation data"):
        ready.fit(good(), validation_data=dataset(5, **bad), verbose=0)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_predictions_and_single_batches_are_looked_at(ready):
    images = (batch["x"] for batch in fields(5, x=255.0))
    with pytest.raises(DataError, match=r"Bernoulli.*batch 5 of the prediction data"):
        ready.predict(images, verbose=0)
    before = [weight.numpy() for weight in ready.trainable_weights]
    for act in (ready.train_on_batch, ready.test_on_batch):
        with pytest.raises(DataError, match="Bernoulli takes data from 0 to 1"):
            act(255 * good())
        with pytest.raises(DataError, match="sample_weight"):
            act(good(), sample_weight=-np.ones(8))
    for weight, old in zip(ready.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)  # refused before the step
    ready.evaluate(good(), verbose=0)  # what was wrong is forgotten


def test_the_right_batch_in_a_later_epoch_and_within_an_execution_of_several(ready):
    epochs = iter((0, 0, 4))
    data = tf.data.Dataset.from_generator(
        lambda: (batch["x"] for batch in fields(next(epochs), x=7.0)),
        output_signature=tf.TensorSpec([8, *SHAPE]),
    )
    data = data.apply(tf.data.experimental.assert_cardinality(6))
    with pytest.raises(DataError, match="7 in batch 4 of epoch 3"):
        ready.fit(data, epochs=4, shuffle=False, verbose=0)
    assert max(ready._functions) > 1


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_a_stream_loses_no_batch(ready):
    read = []

    def once():
        for batch in fields(0):
            read.append(1)
            yield batch["x"]

    start, stream = int(ready.optimizer.iterations), once()
    data = tf.data.Dataset.from_generator(
        lambda: stream, output_signature=tf.TensorSpec([None, *SHAPE])
    )
    ready.fit(data, shuffle=False, verbose=0)
    assert int(ready.optimizer.iterations) - start == len(read) == 6
    with pytest.raises(DataError, match="training data must hold examples"):
        ready.fit(data, shuffle=False, verbose=0)
    with pytest.raises(DataError, match="evaluation data must hold examples"):
        ready.evaluate(data, verbose=0)


def test_terminate_on_nan_has_its_say(x):
    vae = make()
    vae.compile(keras.optimizers.SGD(1e30))
    stop = keras.callbacks.TerminateOnNaN()
    history = vae.fit(x, batch_size=8, epochs=5, callbacks=[stop], verbose=0).history
    assert len(history["loss"]) == 1
    with pytest.raises(NonFiniteError):
        vae.fit(x, batch_size=8, verbose=0)


def test_a_callback_hears_every_batch_of_validation(ready):
    heard = []
    own = keras.callbacks.LambdaCallback()
    own.on_test_batch_end = lambda batch, logs=None: heard.append(batch)
    ready.fit(good(), validation_data=good(40), batch_size=8, callbacks=[own], verbose=0)
    assert heard == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_an_endless_validation_set_is_read_as_far_as_asked(ready):
    seen = []

    def endless():
        while True:
            seen.append(1)
            yield good()

    spec = tf.TensorSpec([8, *SHAPE])
    data = tf.data.Dataset.from_generator(endless, output_signature=spec)
    ready.fit(good(64), batch_size=8, validation_data=data, validation_steps=3, verbose=0)
    assert ready.batches_seen == 3


@pytest.mark.parametrize("likelihood", ["Bernoulli", "GaussianPixelScale", "GaussianLearnedScale"])
def test_huge_weights_give_finite_losses(x, likelihood):
    import vae_tf

    vae = make(getattr(vae_tf.likelihoods, likelihood)())
    for network in (vae.encoder, vae.decoder):
        for weight in network.trainable_weights:
            weight.assign(weight * 1e3)
    logs = vae.evaluate(x, return_dict=True, verbose=0)
    assert np.isfinite(list(logs.values())).all(), logs
    assert vae.sample(3, seed=0).shape == (3, *SHAPE)
