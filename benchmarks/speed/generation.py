"""Generation and encoding with MNIST's MLP, one at a time and in bulk."""

import dataclasses
import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.speed import images, waiting
from benchmarks.speed.runner import ROOT, Contender, Settings, race
from benchmarks.speed.worker import Measure, repeated

LATENT_DIM, BULK = 32, 2048
SECONDS = 0.5
TASKS = {"generate": "images out of draws z ~ N(0, I)", "encode": "means of q(z|x) out of images"}
SIGNATURES = {"generate": "decode", "encode": "encode"}
HALVES = {"generate": "decoder", "encode": "encoder"}


def given(task: str, count: int) -> np.ndarray:
    """Returns what the task starts from: z [count, 32] or x [count, 28, 28, 1]."""
    rng = np.random.default_rng(0)
    if task == "generate":
        return rng.standard_normal((count, LATENT_DIM), np.float32)
    return rng.random((count, *images.SHAPE), np.float32)


def method(scratch: Path, task: str, count: int, precision: str) -> Measure:
    """Returns a `measure` of the model's own method; `sample` draws z, as PyTorch has to."""
    from benchmarks.speed.training_tf import build

    vae = build("mlp", precision)
    if task == "generate":
        return repeated(lambda: vae.sample(count), count)
    x = given(task, count)
    return repeated(lambda: vae.encode(x).mean(), count)


def keras_predict(scratch: Path, task: str, count: int) -> Measure:
    """Returns a `measure` of Keras's `predict` on one half, in one batch."""
    from benchmarks.speed.training_tf import mlp

    x = given(task, count)
    half = mlp()[task == "generate"]
    return repeated(lambda: half.predict(x, batch_size=count, verbose=0), count)


def saved_model(scratch: Path, task: str, count: int, warmup: int = 3) -> Measure:
    """Returns a `measure` of the exported SavedModel, in the C++ runtime."""
    from vae_tf.formats.runtimes import cpp_loader

    spec = importlib.util.spec_from_file_location("tf_c_api", cpp_loader.PROGRAM)
    tf_c_api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tf_c_api)
    from benchmarks.c_api_load import Request

    api = tf_c_api.open_library([str(path) for path in cpp_loader.libraries()])
    session = tf_c_api.Session(api, str(scratch / f"bundle/{HALVES[task]}/1"))
    name = SIGNATURES[task]
    inputs = {next(iter(session.signatures[name][0])): cpp_loader._packed(given(task, count))}
    request = Request(session, {"signature": name, "inputs": inputs}, tf_c_api.Output)
    status = api.TF_NewStatus()
    return repeated(lambda: request(status), count, warmup)


def litert(scratch: Path, task: str, count: int) -> Measure:
    """Returns a `measure` of the exported `.tflite` file."""
    from ai_edge_litert.interpreter import Interpreter

    path = next((scratch / "bundle").rglob(f"{HALVES[task]}.tflite"))
    interpreter = Interpreter(model_path=str(path), num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner(SIGNATURES[task])
    inputs = {next(iter(runner.get_input_details())): given(task, count)}
    return repeated(lambda: runner(**inputs), count)


def torch_half(scratch: Path, task: str, count: int, script: bool, precision: str) -> Measure:
    """Returns a `measure` of PyTorch, eager or as TorchScript, frozen."""
    import torch

    from benchmarks.speed import training_torch

    training_torch.start()
    generates = task == "generate"
    half = training_torch.Images("mlp") if generates else training_torch.Encoder("mlp")
    half, x = half.eval(), given(task, count)
    x = torch.from_numpy(x) if generates else training_torch.channels_first(x)
    with torch.inference_mode():
        if script:
            half = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(half, x)))

    def once() -> object:
        with torch.inference_mode(), training_torch.autocast(precision):
            return half(torch.randn(x.shape) if generates else x)

    return repeated(once, count)


def contenders(task: str, count: int, environment: Mapping[str, str]) -> list[Contender]:
    """Returns all that do this task; `environment` is that of PyTorch's processes."""
    work = {"task": task, "count": count}
    name = {"generate": "sample()", "encode": "encode()"}[task]
    precisions = ("float32", "bf16") if count > 1 else ("float32",)
    torch = {f"eager, {p}": {"script": False, "precision": p} for p in precisions}
    torch["TorchScript"] = {"script": True, "precision": "float32"}
    return [
        *(
            Contender(f"{name}, {p}", ".generation:method", {**work, "precision": p}, ours=True)
            for p in precisions
        ),
        Contender("SavedModel, C++", ".generation:saved_model", work, ours=True),
        Contender("LiteRT", ".generation:litert", work, ours=True),
        Contender("Keras predict", ".generation:keras_predict", work),
        *(
            Contender(
                f"PyTorch {name}",
                ".generation:torch_half",
                {**work, **options},
                environment=environment,
            )
            for name, options in torch.items()
        ),
    ]


EXPORT = """
import sys, vae_tf
from benchmarks.speed.training_tf import build
vae_tf.export(build("mlp"), sys.argv[1], options=vae_tf.exporting.Options())
"""


def export_untrained(directory: Path) -> None:
    """Writes the bundle of an untrained MLP, in another process."""
    command = [sys.executable, "-c", EXPORT, str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def run(settings: Settings) -> dict:
    """Returns a race for each task, one at a time and in bulk."""
    export_untrained(settings.scratch / "bundle")
    work = {"task": "generate", "count": BULK, "script": False, "precision": "float32"}
    probe = Contender("PyTorch eager", ".generation:torch_half", work)
    environment, tried = waiting.quickest(probe, settings)
    brief = dataclasses.replace(settings, seconds=min(SECONDS, settings.seconds))
    races = []
    for task, does in TASKS.items():
        for count, size in ((1, "one at a time"), (BULK, f"{BULK} at a time")):
            what = f"{does}, MLP, {size}, from memory to memory"
            field = contenders(task, count, environment)
            races.append(race(f"{task}, {size}", field, brief, unit="images/s", what=what))
    return {"races": races, "waiting": tried}
