"""A training step taken apart: each piece timed by itself, in turns, and medians taken."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.errors import ConfigError
from vae_tf.models import VAE
from vae_tf.models.inputs import for_keras
from vae_tf.profiling.arithmetic import PROBE, matmul_probe
from vae_tf.profiling.fitting import Puller, Stopwatch, Tracer, batch_of, fit, in_memory
from vae_tf.profiling.pieces import Pieces
from vae_tf.profiling.profile import TrainingProfile
from vae_tf.profiling.state import untouched

ROUNDS = (3, 15)  # at least and at most
PIECE, FIT = 0.02, 0.3  # the least seconds of one measurement


def profile_training(
    vae: VAE,
    data,
    batch_size: int | None = None,
    *,
    steps_per_epoch: int | None = None,
    seconds: float = 10.0,
    trace: str | Path | None = None,
) -> TrainingProfile:
    """Returns the time of each part of a step of `vae.fit(data, ...)`; the model stays as it is.

    It times `fit` itself, on `data` and on one of their batches held in memory, and the pieces of a
    step on that batch. All take turns, so that other work on the machine affects all of them, and
    the median over the rounds counts.

    Args:
        vae: a compiled VAE. Its weights, optimizer and random streams are put back.
        data: a `tf.data.Dataset` of batches, or an array, as for `fit`.
        batch_size: batch size, if the data are an array.
        steps_per_epoch: as for `fit`.
        seconds: time in seconds after which no further round begins. There are at least three
            rounds. Compilation is not counted.
        trace: directory for TensorBoard, to which a trace of some ten steps is written.

    Raises:
        ConfigError: the model is not compiled, or the data cannot be repeated.
        DataError: as for `fit`.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> vae = vae_tf.VAE(encoder, decoder)
        >>> vae.compile("adam")
        >>> profile = vae_tf.profile_training(vae, np.ones((64, 8)), batch_size=16, seconds=0)
        >>> list(profile.parts)
        ['data', 'encoder', 'decoder', 'loss', 'backward', 'optimizer', 'overhead']
    """
    if getattr(vae, "optimizer", None) is None:
        raise ConfigError("A profile needs a compiled model", "no optimizer", "Call `compile`.")
    taken = vae.door.arrays(data, role="profiled")
    data = for_keras(taken) if isinstance(taken, Batch) else taken
    batch, specs = batch_of(data, batch_size)
    x = vae.door.parse(batch).x
    if not vae.built:
        vae(batch, seed=tf.constant([0, 0]))
    given = {"batch_size": batch_size, "steps_per_epoch": steps_per_epoch}
    held = in_memory(batch, specs)
    puller = Puller(data) if isinstance(data, tf.data.Dataset) else None
    dtype = _compute_dtype(vae)
    probes = {name: matmul_probe(name) for name in dict.fromkeys(("float32", "bfloat16", dtype))}
    with untouched(vae) as state:
        pieces = Pieces(vae, batch)
        calls = {**pieces.calls, **probes}

        def once() -> dict[str, float]:
            state.restore()
            took = {"alone": puller.seconds(PIECE)} if puller else {}
            took["fit"] = _fit_seconds(vae, data, **given)
            took["held"] = _fit_seconds(vae, held, steps_per_epoch=_epoch(vae))
            return took | {name: _seconds(call) for name, call in calls.items()}

        rounds, began = [once()], time.perf_counter()
        while len(rounds) < ROUNDS[0] or (
            len(rounds) < ROUNDS[1] and time.perf_counter() - began < seconds
        ):
            rounds.append(once())
        # `fit` may have chosen them for itself, and goes back to 1
        steps = max(vae.steps_per_execution, *vae._functions, 1)
        if trace is not None:
            state.restore()
            _trace(vae, data, Path(trace), **given)
    times = {name: 1e3 * np.array([r[name] for r in rounds]) for name in rounds[0]}
    step = float(np.median(times["fit"]))
    return TrainingProfile(
        **{name: share * step for name, share in _shares(rounds).items()},
        step=step,
        step_range=(float(times["fit"].min()), float(times["fit"].max())),
        data_alone=float(np.median(times["alone"])) if puller else None,
        batch_size=int(x.shape[0]),
        steps_per_execution=steps,
        compute_dtype=dtype,
        gflop=pieces.flop / 1e9,
        peaks={name: 2e-6 * PROBE**3 / float(times[name].min()) for name in probes},
        rounds=len(rounds),
        trace=None if trace is None else str(trace),
    )


def _shares(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Returns the share of each part, the median over the rounds; they add up to 1."""
    apart = [_apart(seconds) for seconds in rounds]
    shares = {n: float(np.median([a[n] / sum(a.values()) for a in apart])) for n in apart[0]}
    return {name: share / sum(shares.values()) for name, share in shares.items()}


def _apart(seconds: dict[str, float]) -> dict[str, float]:
    """Returns the parts of a step, which add up to it, from pieces that hold one another."""
    less = {name: max(0.0, seconds[name] - seconds["nothing"]) for name in seconds}
    data = min(max(0.0, seconds["fit"] - seconds["held"]), seconds.get("alone", math.inf))
    computing = seconds["fit"] - data
    gradients, optimizer, overhead = _within(computing, less["gradients"], less["optimizer"])
    forward, backward = _within(gradients, less["forward"])
    encoder, decoder, loss = _within(forward, less["encoder"], less["decoder"])
    return {
        "data": data,
        "encoder": encoder,
        "decoder": decoder,
        "loss": loss,
        "backward": backward,
        "optimizer": optimizer,
        "overhead": overhead,
    }


def _within(whole: float, *parts: float) -> list[float]:
    """Returns the parts, scaled down if they exceed the whole, and what they leave of it."""
    scale = min(1.0, whole / max(sum(parts), 1e-12))
    scaled = [part * scale for part in parts]
    return [*scaled, max(0.0, whole - sum(scaled))]


def _seconds(call: Callable[[], object]) -> float:
    call()  # the first one compiles, or finds cold caches
    tf.test.experimental.sync_devices()
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < PIECE:
        call()
        count += 1
    tf.test.experimental.sync_devices()
    return (time.perf_counter() - began) / count


def _fit_seconds(vae: VAE, data, **arguments) -> float:
    watch = Stopwatch(FIT)
    fit(vae, data, watch, **arguments)
    return watch.step


def _epoch(vae: VAE) -> int:
    """Returns the steps of an epoch, which the first `fit` told; many if it did not know."""
    return int(vae.clock.steps_per_epoch) or 10**6


def _trace(vae: VAE, data, logs: Path, **arguments) -> None:
    tracer = Tracer(logs)
    try:
        fit(vae, data, tracer, **arguments)
    finally:
        tracer.stop()


def _compute_dtype(vae: VAE) -> str:
    networks = (vae.encoder, vae.decoder)
    dtypes = {layer.compute_dtype for network in networks for layer in network._flatten_layers()}
    return next((dtype for dtype in sorted(dtypes) if "16" in dtype), "float32")
