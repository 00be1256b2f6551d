"""The networks in a process of their own, where their last bits are always the same.

A matrix product in float32 depends on how it is cut up: on the size of the batch, the number of
threads, on oneDNN or Eigen, on whether there is a GPU. A codec needs the same number twice. So
both ways put batches of one size through the same graph in a child process that runs TensorFlow's
C++ runtime on one thread, whatever the user's process was told.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from vae_tf.codec.latents import Mixture
from vae_tf.codec.subject import endpoints_of
from vae_tf.distributions.likelihoods.alphabets import Alphabet
from vae_tf.errors import CodecError
from vae_tf.formats.runtimes import cpp_loader, saved_model
from vae_tf.models import VAE

# What decides how TensorFlow computes; what the user has set of these is not for the child.
TUNING = ("TF_", "XLA_", "ONEDNN_", "DNNL_", "MKL", "OMP_", "KMP_", "CUDA_", "EIGEN_")
FIXED = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    # Eigen's products are oneDNN's kernels, which know newer instructions where there are some
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


class Networks:
    """The encoder and the decoder of a model, in a child process; a context manager.

    Args:
        vae: the model.
        alphabet: of its data.

    Raises:
        ExportError: the networks cannot be written as graphs, or there is no C++ runtime.
    """

    def __init__(self, vae: VAE, alphabet: Alphabet):
        self._directory = Path(tempfile.mkdtemp(prefix="vae_tf-codec-"))
        self._child: subprocess.Popen | None = None
        try:
            graph = self._directory / "model"
            saved_model.write(endpoints_of(vae, alphabet), graph, (vae.encoder, vae.decoder))
            self._request = {"saved_model": str(graph)}
            self._libraries = [str(path) for path in cpp_loader.libraries()]
            self._errors = (self._directory / "errors").open("w+b")
            kept = {k: v for k, v in os.environ.items() if not k.startswith(TUNING)}
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-S", str(cpp_loader.PROGRAM), "--lines"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=kept | FIXED,
            )
            found = {name: value[0] for name, value in self._run("prior", row=np.ones(1)).items()}
        except BaseException:
            self.close()
            raise
        self.centre, self.spread = found.pop("centre"), found.pop("spread")
        self.prior = Mixture(**found)

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Returns `loc` and `scale` of q(z|x), [B, L] float32."""
        return self._run("encode", x=x)

    def decode(self, z: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what the alphabet's masses are made of, and `component`, for z [B, L]."""
        return self._run("decode", z=z)

    def _run(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        assert self._child is not None
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        packed = {name: _packed(x) for name, x in inputs.items()}
        run = {**self._request, "signature": signature, "inputs": packed}
        line = b""
        try:
            text = json.dumps({"libraries": self._libraries, "runs": [run]})
            self._child.stdin.write(text.encode() + b"\n")
            self._child.stdin.flush()
            line = self._child.stdout.readline()
        except BrokenPipeError:
            pass
        if not line:
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            raise _failed(said[-1] if said else f"exit status {self._child.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise _failed(" ".join(answer["error"].split()))
        return {name: _unpacked(array) for name, array in answer["runs"][0].items()}

    def close(self) -> None:
        """Ends the process."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._errors.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> "Networks":
        return self

    def __exit__(self, *exception) -> None:
        self.close()


def _failed(received: str) -> CodecError:
    return CodecError("The networks must run in TensorFlow's C++ runtime", received, "Report it.")


def _packed(x: np.ndarray) -> dict:
    data = base64.b64encode(np.ascontiguousarray(x, "float32").tobytes()).decode()
    return {"dtype": "float32", "shape": list(np.shape(x)), "data": data}


def _unpacked(array: dict) -> np.ndarray:
    data = base64.b64decode(array["data"])
    return np.frombuffer(data, array["dtype"]).reshape(array["shape"])
