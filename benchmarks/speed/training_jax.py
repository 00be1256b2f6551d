"""Training the MLP in JAX: a loop written by hand, compiled for a step or for several."""

import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.speed import images
from benchmarks.speed.worker import Measure

LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-7
STEPS = 10  # of one program, where several are
SIZE = images.SHAPE[0] * images.SHAPE[1]
MLP_LATENT_DIM, MLP_HIDDEN = 32, 500
DTYPES = {"float32": jnp.float32, "bf16": jnp.bfloat16}
KERNELS = {
    "encoder": [(SIZE, MLP_HIDDEN), (MLP_HIDDEN, MLP_HIDDEN)],
    "heads": [(MLP_HIDDEN, MLP_LATENT_DIM)] * 2,
    "decoder": [(MLP_LATENT_DIM, MLP_HIDDEN), (MLP_HIDDEN, MLP_HIDDEN), (MLP_HIDDEN, SIZE)],
}


def weights() -> dict:
    """Returns kernels and biases, {part: [(kernel, bias), ...]}."""
    start, key = jax.nn.initializers.glorot_uniform(), jax.random.key(0)
    made = {}
    for part, shapes in KERNELS.items():
        key, *own = jax.random.split(key, len(shapes) + 1)
        made[part] = [(start(k, s), jnp.zeros(s[-1])) for k, s in zip(own, shapes, strict=True)]
    return made


def through(layers: list, h: jax.Array, dtype, last_relu: bool) -> jax.Array:
    """Returns h [B, n] after these layers."""
    for i, (kernel, bias) in enumerate(layers):
        h = h.astype(dtype) @ kernel.astype(dtype) + bias.astype(dtype)
        h = jax.nn.relu(h) if last_relu or i < len(layers) - 1 else h
    return h.astype(jnp.float32)


def loss_of(parts: dict, x: jax.Array, key: jax.Array, dtype) -> jax.Array:
    """Returns the mean over the batch of -log p(x|z) + KL, in nats."""
    h = through(parts["encoder"], x, dtype, last_relu=True)
    mean, log_var = (h @ kernel + bias for kernel, bias in parts["heads"])
    z = mean + jnp.exp(0.5 * log_var) * jax.random.normal(key, mean.shape)
    logits = through(parts["decoder"], z, dtype, last_relu=False)
    nll = jnp.sum(jax.nn.softplus(logits) - x * logits)
    kl = -0.5 * jnp.sum(1 + log_var - mean**2 - jnp.exp(log_var))
    return (nll + kl) / len(x)


def step(dtype, x: jax.Array, state: tuple, rows: jax.Array) -> tuple:
    """Returns weights, both moments, number of steps and key after a step of Adam, and the loss."""
    parts, first, second, count, key = state
    key, own = jax.random.split(key)
    loss, slopes = jax.value_and_grad(loss_of)(parts, x[rows], own, dtype)
    tree, count = jax.tree.map, count + 1
    first = tree(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, first, slopes)
    second = tree(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, second, slopes)
    rate = LEARNING_RATE * jnp.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
    parts = tree(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + EPSILON), parts, first, second)
    return (parts, first, second, count, key), loss


@partial(jax.jit, static_argnums=0, donate_argnums=2)
def one(dtype, x: jax.Array, state: tuple, rows: jax.Array) -> tuple:
    """Returns the state after one step of rows [B], and the loss."""
    return step(dtype, x, state, rows)


@partial(jax.jit, static_argnums=0, donate_argnums=2)
def many(dtype, x: jax.Array, state: tuple, rows: jax.Array) -> tuple:
    """Returns the state after the steps of rows [steps, B], and the losses."""
    return jax.lax.scan(partial(step, dtype, x), state, rows)


def loop(scratch: Path, batch_size: int, precision: str, scan: bool = False) -> Measure:
    """Returns a `measure` of a loop over batches gathered from memory.

    With `scan`, STEPS steps are one program.
    """
    x = jnp.asarray(images.load(scratch).reshape(-1, SIZE))
    dtype, parts = DTYPES[precision], weights()
    zeros = partial(jax.tree.map, jnp.zeros_like)
    state = (parts, zeros(parts), zeros(parts), jnp.zeros(()), jax.random.key(1))
    rng, advance = np.random.default_rng(0), many if scan else one

    def measure(seconds: float) -> tuple[float, float]:
        nonlocal state
        done, taken, began = 0, 0.0, time.perf_counter()
        while True:
            steps = len(x) // batch_size
            order = rng.permutation(len(x))[: steps * batch_size].reshape(steps, batch_size)
            count = STEPS if scan else 1
            for i in range(0, steps - count + 1, count):
                rows = order[i : i + count]
                state, loss = advance(dtype, x, state, rows if scan else rows[0])
                loss.block_until_ready()
                done, taken = done + count * batch_size, time.perf_counter() - began
                if taken >= seconds:
                    return done, taken

    measure(0.0)
    return measure
