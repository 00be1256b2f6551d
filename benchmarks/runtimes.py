"""What runs an exported signature: one class a runtime, all asked the same.

A runtime takes batches of arrays by name and returns arrays by name; `latency` is the median of a
call with one row, in microseconds, on one thread where the runtime lets us choose.
"""

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import export_load
import numpy as np
import tensorflow as tf

from vae_tf.exporting.web.folder import write_web
from vae_tf.formats.onnx import conversion as onnx_conversion
from vae_tf.formats.onnx import files as onnx_files
from vae_tf.formats.runtimes import cpp_loader

ROOT = Path(__file__).parents[1]
RUNS, SECONDS = 300, 1.0
Arrays = Mapping[str, np.ndarray]


def median_latency(call: Callable[[], object]) -> float:
    """Returns the median time of `call`, in microseconds, after three calls to warm up."""
    for _ in range(3):
        call()
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < RUNS and time.perf_counter() - began < SECONDS:
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return 1e6 * float(np.median(times))


def size(path: Path) -> int:
    """Returns the bytes of a file, or of all files below a directory."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files)


class PythonLoader:
    """`tf.saved_model.load`."""

    name = "Python SavedModel"

    def __init__(self, saved_model: Path, signature: str):
        self.bytes = size(saved_model)
        self._loaded = tf.saved_model.load(str(saved_model))
        self._function = self._loaded.signatures[signature]

    def __call__(self, batch: Arrays) -> dict[str, np.ndarray]:
        given = {name: tf.constant(value) for name, value in batch.items()}
        return {name: value.numpy() for name, value in self._function(**given).items()}

    def latency(self, row: Arrays) -> float:
        return median_latency(lambda: self(row))


class CApi:
    """`TF_LoadSessionFromSavedModel`, in a process without TensorFlow's Python."""

    name = "C API"

    def __init__(self, saved_model: Path, signature: str):
        self.bytes = size(saved_model)
        self._saved_model, self._signature = saved_model, signature

    def __call__(self, batch: Arrays) -> dict[str, np.ndarray]:
        call = cpp_loader.Call(self._saved_model, self._signature, [batch])
        return cpp_loader.run([call])[0][0]

    def latency(self, row: Arrays) -> float:
        paths = {self._signature: self._saved_model}
        report = export_load.drive([(self._signature, row)], paths, RUNS, 10, threads=1)
        return 1e6 * float(np.median(report["latencies"][1::2]))


class CppProgram:
    """export/serving/predict.cc, compiled here."""

    name = "C++ program"

    def __init__(self, saved_model: Path, signature: str):
        self.bytes = size(saved_model)
        self._command = [str(_compiled()), str(saved_model), signature]

    def __call__(self, batch: Arrays) -> dict[str, np.ndarray]:
        answer = json.loads(self._run(batch).splitlines()[0])
        return {
            name: np.array(value["values"], np.float32).reshape(value["shape"])
            for name, value in answer.items()
        }

    def latency(self, row: Arrays) -> float:
        words = self._run(row, "--bench", str(RUNS)).splitlines()[-1]
        return float(json.loads(words)["p50_us"])

    def _run(self, batch: Arrays, *flags: str) -> str:
        with tempfile.TemporaryDirectory() as scratch:
            given = []
            for name, values in batch.items():
                path = Path(scratch) / name
                path.write_text(" ".join(map(repr, values.ravel().tolist())))
                given.append(f"{name}=@{path}")
            command = [*self._command, *given, *flags]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout


@functools.cache
def _compiled() -> Path:
    path = ROOT / "export/serving/predict"
    command = ["make", "-C", path.parent, f"PYTHON={sys.executable}", f"OUT={path}"]
    subprocess.run(command, check=True, capture_output=True)
    return path


class OpenVino:
    """OpenVINO's own frontend of SavedModels; it knows the default signature alone."""

    name = "OpenVINO"

    def __init__(self, saved_model: Path, signature: str):
        if signature == "generate":
            raise LookupError("OpenVINO runs the default signature")
        import openvino

        hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        self.bytes = size(saved_model)
        self._model = openvino.Core().compile_model(str(saved_model), "CPU", hints)

    def __call__(self, batch: Arrays) -> dict[str, np.ndarray]:
        results = self._model(*batch.values())
        return {port.any_name: np.array(results[port]) for port in self._model.outputs}

    def latency(self, row: Arrays) -> float:
        return median_latency(lambda: self._model(*row.values()))


class OnnxRuntime:
    """ONNX Runtime on the file made of a SavedModel."""

    name = "ONNX Runtime"

    def __init__(self, saved_model: Path, signature: str):
        self._content = onnx_conversion.convert(saved_model, signature)
        self.bytes = len(self._content)

    def __call__(self, batch: Arrays) -> dict[str, np.ndarray]:
        return onnx_files.run(self._content, [batch])[0]

    def latency(self, row: Arrays) -> float:
        return onnx_files.latency_us(self._content, row)


SERVERS = (PythonLoader, CApi, CppProgram, OpenVino, OnnxRuntime)


class Browser:
    """The explorer's page in headless Chromium, with LiteRT.js."""

    name = "browser"

    def __init__(self, bundle: Path, scratch: Path):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        folder = write_web(bundle, scratch / "web").parent
        self.models = json.loads((folder / "model/model.json").read_text())["models"]
        handler = functools.partial(_Quiet, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in (
            *("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"),
            *("disable-background-networking", "disable-component-update", "disable-sync"),
            f"user-data-dir={scratch / 'chromium'}",
        ):
            options.add_argument(f"--{flag}")
        service = Service(shutil.which("chromedriver"))
        self._driver = webdriver.Chrome(options=options, service=service)
        self._driver.set_script_timeout(120)
        self._driver.get(f"http://127.0.0.1:{self._server.server_port}/")
        ready = "const done = arguments[0]; const look = () => globalThis.explorer ? done() : "
        self._driver.execute_async_script(ready + "setTimeout(look, 50); look();")

    def __call__(self, call: str, rows: Sequence[Sequence]) -> list[dict[str, np.ndarray]]:
        """Returns the outputs of `call`, a method of the page's bundle, for each row."""
        answers = self._evaluate(
            f"const answer = {{}}; const out = await explorer.bundle.{call};"
            "const named = out instanceof Float32Array ? { image: out } : out;"
            "for (const [name, v] of Object.entries(named)) answer[name] = Array.from(v);"
            "answers.push(answer);",
            rows,
        )
        return [{n: np.array(v, np.float32) for n, v in answer.items()} for answer in answers]

    def latency(self, call: str, row: Sequence) -> float:
        """Returns the median time of `call` in the page, in microseconds."""
        body = "const before = performance.now();"
        # The clock of a page has steps of 0.1 ms: ten calls at a time.
        body += f"for (let i = 0; i < 10; i++) await explorer.bundle.{call};"
        body += "answers.push(100 * (performance.now() - before));"
        return float(np.median(self._evaluate(body, [row] * 33)[3:]))

    def close(self) -> None:
        """Ends Chromium and the server."""
        self._driver.quit()
        self._server.shutdown()

    def _evaluate(self, body: str, rows: Sequence[Sequence]) -> list:
        script = (
            "const [rows, done] = arguments; (async () => { const answers = [];"
            "for (const given of rows) { const row = given.map((v) => Array.isArray(v) ?"
            f" Float32Array.from(v) : v); {body} }} return answers; }})()"
            ".then((answers) => done({ answers }), (e) => done({ error: String(e) }));"
        )
        plain = [[v.ravel().tolist() if hasattr(v, "ravel") else v for v in row] for row in rows]
        result = self._driver.execute_async_script(script, plain)
        if "error" in result:
            raise RuntimeError(result["error"])
        return result["answers"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Prints nothing."""


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
