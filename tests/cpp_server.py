"""TensorFlow's C++ loader in a process that outlives requests and errors, as a server does."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from vae_tf.formats.runtimes import cpp_loader


class Refused(RuntimeError):
    """A request that the loader refused, in its words; the server goes on."""


class CppServer:
    """SavedModels in the C++ loader, each loaded once, in one process for all requests.

    `cpp_loader.run` starts a process for each call, at two thirds of a second of processor time.
    """

    def __init__(self):
        program = Path(__file__).with_name("cpp_server_program.py")
        command = [sys.executable, "-I", "-S", program, cpp_loader.PROGRAM, *cpp_loader.libraries()]
        self.lock = threading.Lock()
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
            text=True,
        )

    def __call__(self, saved_model, signature, inputs, headroom=None):
        """Returns the outputs of a signature, name -> array.

        Args:
            saved_model: its directory.
            signature: its name.
            inputs: name -> array.
            headroom: bytes of memory that the process may take beyond those it has.

        Raises:
            Refused: if the SavedModel does not load, or the signature does not take the inputs.
        """
        packed = {name: cpp_loader._packed(x) for name, x in inputs.items()}
        run = {"saved_model": str(saved_model), "signature": signature, "inputs": packed}
        with self.lock:
            print(json.dumps(run | {"headroom": headroom}), file=self.child.stdin, flush=True)
            line = self.child.stdout.readline()
        if not line:
            shapes = {name: (x.dtype.name, x.shape) for name, x in inputs.items()}
            raise AssertionError(f"{shapes} ended the process: {self.child.wait(timeout=60)}")
        reply = json.loads(line)
        if "error" in reply:
            raise Refused(reply["error"])
        return {name: cpp_loader._unpacked(x) for name, x in reply["outputs"].items()}

    def close(self):
        self.child.stdin.close()
        self.child.wait(timeout=60)
        self.child.stdout.close()
