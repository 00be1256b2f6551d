"""What is there for speed alone changes no result."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf import VAE
from vae_tf.distributions import Bernoulli
from vae_tf.errors import ConfigError
from vae_tf.models.executions import MOST, NUMBERS, steps_per_execution
from vae_tf.models.optimizers import KernelAdamW, prepared
from vae_tf.networks import conv_decoder, mlp_decoder, mlp_encoder

SHAPE, LATENT = (4, 4, 1), 2
OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(1e-2),
    "settings": lambda: keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(1e-2, 10, 0.9), 0.8, 0.9, 1e-3
    ),
    "clipped": lambda: keras.optimizers.Adam(1e-2, global_clipnorm=0.5),
    "averaged": lambda: keras.optimizers.Adam(1e-2, use_ema=True, ema_overwrite_frequency=7),
    "accumulated": lambda: keras.optimizers.Adam(1e-2, gradient_accumulation_steps=2),
    "decayed": lambda: KernelAdamW(1e-2, weight_decay=0.1),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-2)),
}


class Slow(keras.optimizers.Adam):
    """Keras's own update: an override, even of itself, is not replaced."""

    def update_step(self, *args):
        super().update_step(*args)


class SlowDecay(KernelAdamW):
    def update_step(self, *args):
        super().update_step(*args)


def slow(optimizer):
    """The same optimizer with Keras's update."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return keras.optimizers.LossScaleOptimizer(slow(optimizer.inner_optimizer))
    kind = SlowDecay if isinstance(optimizer, KernelAdamW) else Slow
    return kind.from_config(optimizer.get_config())


def data(n=70):
    return (np.random.default_rng(0).random((n, *SHAPE)) > 0.5).astype("float32")


def make():
    encoder = mlp_encoder(SHAPE, LATENT, (16,), seed=1)
    decoder = mlp_decoder(LATENT, Bernoulli().parameter_shapes(SHAPE), (16,), seed=2)
    return VAE(encoder, decoder)


def trained(optimizer, x=None, epochs=4, **fit):
    keras.utils.set_random_seed(0)
    vae = make()
    vae.compile(optimizer, steps_per_execution=fit.pop("steps_per_execution", "auto"))
    batch = {"shuffle": False} if isinstance(x, tf.data.Dataset) else {"batch_size": 16}
    x = data() if x is None else x
    losses = vae.fit(x, epochs=epochs, verbose=0, **batch, **fit).history["loss"]
    return vae, losses


def has_kernel(vae, x):
    step = tf.function(lambda batch: vae.train_step(batch)["loss"])
    graph = step.get_concrete_function(tf.constant(x)).graph
    graphs = [graph, *(f.graph for f in graph._functions.values() if hasattr(f, "graph"))]
    ops = {op.type for g in graphs for op in g.get_operations()}
    names = {node.op for f in graph.as_graph_def().library.function for node in f.node_def}
    return "ResourceApplyAdam" in ops | names


@pytest.mark.slow_but(1)
@pytest.mark.parametrize(
    "kind",
    [
        k if k in ("adam", "clipped") else pytest.param(k, marks=pytest.mark.slow)
        for k in OPTIMIZERS
    ],
)
def test_the_fused_update_is_keras_s(kind):
    fast, fast_losses = trained(OPTIMIZERS[kind]())
    want, want_losses = trained(slow(OPTIMIZERS[kind]()))
    np.testing.assert_allclose(fast_losses, want_losses, rtol=1e-5)
    for a, b in zip(fast.weights, want.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-5, err_msg=a.path)
    for a, b in zip(fast.optimizer.variables, want.optimizer.variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=2e-5, err_msg=a.path)
    assert has_kernel(fast, data(16))
    assert not has_kernel(want, data(16))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [keras.optimizers.Adam(amsgrad=True), "sgd", Slow()])
def test_other_updates_are_left_alone(optimizer):
    vae, losses = trained(optimizer)
    assert not has_kernel(vae, data(16))
    assert np.all(np.isfinite(losses))


def test_the_optimizer_stays_the_users():
    optimizer = keras.optimizers.Adam(1e-2)
    config = optimizer.get_config()
    vae, _ = trained(optimizer)
    assert vae.optimizer is optimizer
    assert optimizer.get_config() == config
    assert type(optimizer) is keras.optimizers.Adam
    before = [v.numpy() for v in vae.trainable_variables]
    optimizer.learning_rate = 0.0
    vae.fit(data(), verbose=0)
    for a, b in zip(vae.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)
    vae.compile(optimizer)  # anew, with the same
    vae.fit(data(), verbose=0)


@pytest.mark.slow
def test_a_model_that_is_reloaded_is_as_fast_and_goes_on_alike(tmp_path):
    vae, _ = trained("adam")
    vae.save(tmp_path / "vae.keras")
    copy = keras.models.load_model(tmp_path / "vae.keras")
    assert has_kernel(copy, data(16))
    assert copy.get_compile_config()["steps_per_execution"] == "auto"
    for model in (vae, copy):
        model.fit(data(), batch_size=16, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(copy.weights, vae.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)


def test_sparse_gradients_take_keras_s_way():
    table = tf.Variable(tf.ones([4, 2]))
    vae = make()
    vae.compile("adam")
    vae.optimizer.build([table])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.gather(table, [1, 3]))
    vae.optimizer.apply_gradients([(tape.gradient(loss, table), table)])
    np.testing.assert_allclose(table.numpy()[:, 0], [1, 0.999, 1, 0.999], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 3, 64])
def test_steps_per_execution_change_nothing(steps):
    want, _ = trained("adam")
    assert want._functions.keys() == {1, MOST}
    got, _ = trained("adam", steps_per_execution=steps)
    for a, b in zip(got.weights, want.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6, err_msg=a.path)


def test_an_endless_data_set_is_not_read_past_its_epoch():
    seen = tf.Variable(0)

    def count(i):
        seen.assign_add(1)
        return tf.cast(i % 2, tf.float32) * tf.ones([8, *SHAPE])

    endless = tf.data.Dataset.counter().map(count)
    vae, _ = trained("adam", endless, epochs=3, steps_per_epoch=14)
    assert vae._functions.keys() == {1, 14}
    assert int(vae.optimizer.iterations) == 3 * 14


def test_how_many_steps():
    array = np.zeros([1000, *SHAPE])
    large = tf.data.Dataset.from_tensors(np.zeros([64, 64, 64, 3]))
    assert steps_per_execution(array, 32, None, None) == MOST
    assert steps_per_execution(array, None, 47, []) == 47
    assert steps_per_execution(array, None, 2 * 67, []) == 2
    assert steps_per_execution(large, None, None, []) == NUMBERS // (64 * 64 * 64 * 3)
    assert steps_per_execution(large.map(lambda x: (x, x)), None, 10, []) == 5
    assert steps_per_execution(np.zeros([2, 3000, 3000, 3]), 2, None, []) == 1
    assert steps_per_execution((batch for batch in array), None, None, None) == 1


class Own(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


@pytest.mark.parametrize(
    ("callback", "steps"),
    [
        (keras.callbacks.TerminateOnNaN(), MOST),
        (keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None), MOST),
        (keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None), 1),
        (keras.callbacks.ModelCheckpoint("x.keras", save_freq=5), 1),
        (keras.callbacks.TensorBoard(update_freq=3), 1),
        (keras.callbacks.CallbackList([Own()]), 1),
        (Own(), 1),
    ],
)
def test_a_callback_that_listens_to_batches_hears_each(callback, steps):
    given = callback if isinstance(callback, keras.callbacks.CallbackList) else [callback]
    assert steps_per_execution(data(), 16, None, given) == steps


def test_a_second_fit_compiles_nothing():
    vae, _ = trained("adam", validation_data=data(20))
    functions = [vae._functions[MOST][name] for name in ("train_function", "test_function")]
    vae.evaluate(data(), verbose=0)
    vae.fit(data(), epochs=1, batch_size=16, validation_data=data(20), verbose=0)
    assert functions == [vae._functions[MOST][name] for name in ("train_function", "test_function")]
    assert vae.steps_per_execution == 1
    assert vae.test_function is not None
    assert vae.train_function is None


def test_all_batches_are_heard():
    heard = []
    own = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: heard.append(batch))
    vae, _ = trained("adam", epochs=1)
    vae.fit(data(), batch_size=16, verbose=0, callbacks=[own])
    assert heard == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("shape", [(1,), (81,), (127,), (28, 28, 1), (251, 2)], ids=str)
@pytest.mark.parametrize("grey", [False, True])
def test_log_probability_of_bits_against_numpy(shape, grey):
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=30, size=(4, *shape)).astype("float32")
    x = rng.random((4, *shape)).astype("float32")
    x = x if grey else np.rint(x)
    exact = logits.astype("float64")
    exact = (x * exact - np.logaddexp(0, exact)).reshape(4, -1).sum(-1)
    result = Bernoulli().distribution({"logits": tf.constant(logits)}).log_prob(tf.constant(x))
    np.testing.assert_allclose(result, exact, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_of_bits_are_tfps(compiled):
    rng = np.random.default_rng(1)
    logits, x = (tf.Variable(rng.normal(size=(5, 3, 4)).astype("float32")) for _ in range(2))
    weight = tf.constant(rng.normal(size=5).astype("float32"))

    def gradients(distribution):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(weight * distribution(logits).log_prob(x) ** 2)
        return tape.gradient(total, [logits, x])

    got = tf.function(gradients, jit_compile=compiled)(
        lambda logits: Bernoulli().distribution({"logits": logits})
    )
    want = gradients(lambda logits: tfd.Independent(tfd.Bernoulli(logits=logits), 2))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shapes", [((1, 6), (5, 6)), ((5, 6), (1, 6)), ((5, 6), (2, 5, 6))])
def test_bits_that_broadcast(shapes):
    rng = np.random.default_rng(2)
    logits, x = (tf.Variable(rng.random(shape).astype("float32")) for shape in shapes)
    with tf.GradientTape(persistent=True) as tape:
        got = Bernoulli().distribution({"logits": logits}).log_prob(x)
        want = tfd.Independent(tfd.Bernoulli(logits=logits), 1).log_prob(x)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    for a, b in zip(*(tape.gradient(y, [logits, x]) for y in (got, want)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_certain_bits():
    logits = tf.constant([[np.inf, -np.inf], [np.inf, -np.inf], [3e38, 3e38], [np.nan, 0]])
    x = tf.constant([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    result = Bernoulli().distribution({"logits": logits}).log_prob(x).numpy()
    assert result[0] == 0
    assert result[1] < -1e38
    assert result[2] == -np.inf
    assert np.isnan(result[3])


def test_bits_of_half_precision_logits():
    logits = np.linspace(-9, 9, 126)[None].astype("float16")
    px = Bernoulli().distribution({"logits": tf.constant(logits)})
    want = -np.logaddexp(0, logits.astype("float64")).sum()
    np.testing.assert_allclose(px.log_prob(tf.zeros([1, 126])), [want], rtol=1e-5)


@pytest.mark.parametrize("make_decoder", [mlp_decoder, conv_decoder])
def test_half_precision_outputs(make_decoder, set_dtype_policy):
    set_dtype_policy("mixed_bfloat16")
    outputs = {"logits": (8, 8, 1), "loc": (8, 8, 1)}
    decoder = make_decoder(LATENT, outputs, (16,))
    dtypes = {layer.name: layer.compute_dtype for layer in decoder.layers}
    assert (dtypes["logits_output"], dtypes["loc_output"]) == ("bfloat16", "float32")
    assert {y.dtype for y in decoder(tf.zeros([1, LATENT])).values()} == {tf.float32}


def test_a_variable_is_updated_before_the_last_gradient_is_known():
    vae = make()
    vae.compile("adam")
    vae.optimizer.build(vae.trainable_variables)
    graph = tf.function(vae.train_step).get_concrete_function(tf.constant(data(16))).graph
    updates = [op for op in graph.get_operations() if op.type == "ResourceApplyAdam"]
    assert len(updates) == len(vae.trainable_variables)

    def products_before(op):
        seen, ahead = set(), [op]
        while ahead:
            op = ahead.pop()
            if op not in seen:
                seen.add(op)
                ahead += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
        return sum(op.type == "MatMul" for op in seen)

    counts = [products_before(op) for op in updates]
    assert min(counts) < max(counts)


def test_evaluate_lists_its_means_in_the_order_of_their_names():
    vae, _ = trained("adam")
    values = vae.evaluate(data(), verbose=0)
    by_name = vae.evaluate(data(), verbose=0, return_dict=True)
    reported = [name for name in vae.metrics_names if name in by_name]
    assert reported == ["loss", "nll", "kl", "elbo", "beta"]
    assert values == pytest.approx([by_name[name] for name in reported])
    on_a_batch = vae.train_on_batch(data(16))
    assert len(on_a_batch) == len(values)
    assert on_a_batch[0] == pytest.approx(on_a_batch[1] + on_a_batch[2], rel=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"gradient_accumulation_steps": 2}, {"use_ema": True, "ema_overwrite_frequency": 3}],
    ids=lambda options: list(options)[-1],
)
def test_what_several_replicas_cannot_do_is_refused(options):
    optimizer = keras.optimizers.Adam(**options)
    with pytest.raises(ConfigError, match=f"{list(options)[-1]}={list(options.values())[-1]}"):
        prepared(optimizer, (), several=True)
    assert prepared(optimizer, (), several=False) is optimizer


def test_averages_that_wait_for_the_end_are_no_condition():
    optimizer = keras.optimizers.Adam(use_ema=True)
    assert prepared(optimizer, (), several=True) is optimizer
