"""Start-up: what a user waits for before anything happens, in seconds."""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.speed.generation import export_untrained
from benchmarks.speed.runner import ROOT, Settings

TIMES = 5
# Each prints the seconds of its last part; the imports before it are others' business
PROGRAMS = {
    "import tensorflow": "began = now(); import tensorflow",
    "import vae_tf": "began = now(); import vae_tf",
    "vae_tf.VAE, after TensorFlow, Keras and TFP": """
import tensorflow, keras
from tensorflow_probability import distributions
distributions.Normal
began = now()
import vae_tf
vae_tf.VAE""",
    "first training step, model and `fit` after imports": """
import numpy, vae_tf
from benchmarks.speed.training_tf import build
x = numpy.zeros((128, 28, 28, 1), "float32")
began = now()
build("mlp").fit(x, batch_size=128, verbose=0)""",
    "loading a bundle's decoder and its first answer, Python": """
import tensorflow as tf
z = tf.zeros((1, 32))
began = now()
model = tf.saved_model.load(f"{bundle}/decoder/1")
model.signatures["decode"](z)""",
    "loading a bundle's decoder and its first answer, C++": """
from pathlib import Path
from benchmarks.speed import generation
from vae_tf.formats.runtimes import cpp_loader
began = now()
generation.saved_model(Path(bundle).parent, "generate", 1, warmup=1)""",
}
# `train.py` as a user calls it, which tells how long it took to each of these points; TensorFlow
# and TFP are imported one by one before it, as it would import them itself
STAGES = """
import json, os, sys, time
marks = []
def mark(name):
    marks.append((name, time.time()))
def marked(function, name):
    def inner(*args, **kwargs):
        result = function(*args, **kwargs)
        mark(name)
        return result
    return inner
mark("Python's start")
import tensorflow, keras
mark("import of TensorFlow, which imports Keras")
from tensorflow_probability import distributions
distributions.Normal
mark("import of TFP")
from vae_tf.cli import progress, train
from vae_tf.runs import bundle, training
mark("all other imports")
flags = ["--run-dir", sys.argv[2], "--epochs", "2"]
train.parse(flags)
mark("flags read")
class Marker(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        mark("run directory opened")
    def on_test_begin(self, logs=None):
        mark("training of the epoch")
    def on_epoch_end(self, epoch, logs=None):
        mark("validation and checkpoint")
        if epoch:
            print("STAGES", json.dumps([(name, at - float(sys.argv[1])) for name, at in marks]))
            sys.stdout.flush()
            os._exit(0)
training.kind_of = marked(training.kind_of, "digits read")
training.build_model = marked(training.build_model, "model built")
own = progress.ConsoleWatcher.callbacks
progress.ConsoleWatcher.callbacks = lambda *args: [*own(*args), Marker()]
train.main(flags)
"""
CLOCK = "import sys; from time import perf_counter as now; bundle = sys.argv[1]\n"
REPORT = "\nprint('SECONDS', now() - began)"


def run(settings: Settings) -> dict:
    """Returns the seconds of each, the median and all of them."""
    bundle = settings.scratch / "bundle"
    export_untrained(bundle)
    taken: dict[str, list[float]] = {}
    for _ in range(TIMES):  # in turn, as the races are
        taken.setdefault("python train.py --help", []).append(_help())
        for name, program in PROGRAMS.items():
            taken.setdefault(name, []).append(_inside(program, bundle))
    runs = [stages(settings.scratch / f"run_{i}") for i in range(TIMES)]
    for name, seconds in taken.items():
        print(f"  {name:<56} {median(seconds):8.3f} s", flush=True)
    return {
        "seconds": {name: median(values) for name, values in taken.items()},
        "all": taken,
        "stages": {name: [one[name] for one in runs] for name in runs[0]},
    }


def _help() -> float:
    began = time.perf_counter()
    command = [sys.executable, "train.py", "--help"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - began


def _inside(program: str, bundle: Path) -> float:
    command = [sys.executable, "-c", CLOCK + program + REPORT, str(bundle)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout.split("SECONDS")[1])


def stages(run: Path) -> dict[str, float]:
    """Returns the seconds of each stage of `train.py`, to the end of its second epoch."""
    began = time.time()
    command = [sys.executable, "-c", STAGES, str(began), str(run)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found, before = {}, 0.0
    for name, at in json.loads(done.stdout.split("STAGES")[1]):
        again = ", second epoch" if name in found else ""
        found[name + again], before = at - before, at
    return found
