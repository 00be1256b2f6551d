"""Importance-weighted NLL of MNIST's MLP: decoded samples a second."""

import dataclasses
import time
from pathlib import Path

import numpy as np

from benchmarks.speed import images, waiting
from benchmarks.speed.runner import Contender, Settings, race
from benchmarks.speed.worker import Measure

NUM_SAMPLES, TRAINED = 1000, 2  # draws an image; epochs
BATCH = 64
ROWS = 2048  # decoded at a time in the loop written by hand
PRECISIONS = ("float32", "bf16")


def ours(scratch: Path, policy: str, precision: str = "float32") -> Measure:
    """Returns a `measure` of `log_likelihood`; its first batch, which compiles, is not counted.

    Args:
        scratch: where the images are.
        policy: what the networks were made in.
        precision: of `log_likelihood`.
    """
    import vae_tf
    from benchmarks.speed.training_tf import build

    x, vae = binary(scratch), build("mlp", policy)
    vae.fit(
        x, batch_size=128, epochs=TRAINED, verbose=0
    )  # far from data, half precision is refused
    rate = 0.0

    def measure(seconds: float) -> tuple[float, float]:
        nonlocal rate
        batches = 1 + max(1, round(rate * seconds / (BATCH * NUM_SAMPLES)))
        moments: list[tuple[int, float]] = []

        def progress(done: int) -> None:
            moments.append((done, time.perf_counter()))

        some = x[: batches * BATCH]
        kwargs = {"batch_size": BATCH, "precision": precision, "progress": progress}
        found = vae_tf.log_likelihood(vae, some, NUM_SAMPLES, **kwargs)
        if found.precision != precision:
            raise RuntimeError(f"decoded in {found.precision}, {found.precision_error:.3f} nat off")
        (first, began), (last, ended) = moments[0], moments[-1]
        samples, taken = (last - first) * NUM_SAMPLES, ended - began
        rate = samples / taken
        return samples, taken

    measure(0.0)
    return measure


def pythae(scratch: Path) -> Measure:
    """Returns a `measure` of pythae's `get_nll`, as it is, but without a graph of gradients."""
    import torch

    from benchmarks.speed import training_torch

    training_torch.start()
    x = training_torch.channels_first(binary(scratch))
    model = training_torch.pythae_model("mlp").eval()

    def measure(seconds: float) -> tuple[float, float]:
        done, taken, began = 0, 0.0, time.perf_counter()
        with torch.no_grad():
            while taken < seconds:
                model.get_nll(x[done : done + 1], n_samples=NUM_SAMPLES)
                done, taken = done + 1, time.perf_counter() - began
        return done * NUM_SAMPLES, taken

    measure(0.1)
    return measure


def by_hand(scratch: Path, precision: str) -> Measure:
    """Returns a `measure` of a vectorised loop: the encoder once, weights summed by chunk."""
    import torch
    import torch.nn.functional as F

    from benchmarks.speed import training_torch

    training_torch.start()
    x = training_torch.channels_first(binary(scratch))
    vae = training_torch.VAE("mlp").eval()
    draws = ROWS // BATCH

    def measure(seconds: float) -> tuple[float, float]:
        done, taken, began = 0, 0.0, time.perf_counter()
        with torch.inference_mode(), training_torch.autocast(precision):
            while True:
                batch = x[:BATCH]
                mean, log_var = (y.float() for y in vae.encoder(batch))
                std = torch.exp(0.5 * log_var)
                target = batch.expand(draws, *batch.shape).reshape(-1, *batch.shape[1:])
                total = torch.full((BATCH,), -torch.inf)
                for _ in range(NUM_SAMPLES // draws):
                    noise = torch.randn(draws, *mean.shape)
                    z = mean + std * noise
                    logits = vae.decoder(z.flatten(0, 1)).float()
                    nll = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
                    log_w = -nll.flatten(1).sum(1).view(draws, -1)
                    log_w += (0.5 * (noise.square() - z.square() + log_var)).sum(-1)
                    total = torch.logaddexp(total, torch.logsumexp(log_w, 0))
                    done, taken = done + draws * BATCH, time.perf_counter() - began
                    if taken >= seconds:
                        return done, taken

    measure(0.1)
    return measure


def binary(scratch: Path) -> np.ndarray:
    """Returns the images, black and white."""
    return np.round(images.load(scratch)[:10_000])


def run(settings: Settings) -> dict:
    """Returns the race."""
    data = images.prepare(settings.scratch)
    what = f"importance-weighted NLL, {data}, black and white, K = {NUM_SAMPLES}, MLP"
    ways = {
        "log_likelihood": {"policy": "float32"},
        "log_likelihood, checked bf16": {"policy": "float32", "precision": "bfloat16"},
        "log_likelihood, model of mixed_bfloat16": {"policy": "bf16"},
    }
    own = [Contender(name, ".nll:ours", way, ours=True) for name, way in ways.items()]
    others = [
        Contender("pythae get_nll", ".nll:pythae"),
        *(Contender(f"PyTorch loop, {p}", ".nll:by_hand", {"precision": p}) for p in PRECISIONS),
    ]
    environment, tried = waiting.quickest(others[-1], settings)
    field = [*own, *(dataclasses.replace(c, environment=environment) for c in others)]
    return {"races": [race("NLL", field, settings, unit="samples/s", what=what)], "waiting": tried}
