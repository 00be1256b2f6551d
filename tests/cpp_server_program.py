"""A process that runs signatures on request, without TensorFlow's Python: a program, no module.

`python -I -S cpp_server_program.py TF_C_API_PY LIBRARY...` answers each line of standard input, a
run as in tf_c_api.py, by a line `{"outputs": {name: array}}` or `{"error": text}`. `headroom` in a
run is the number of bytes of memory that the process may take beyond those it has.
"""

import importlib.util
import json
import os
import resource
import sys
from pathlib import Path

spec = importlib.util.spec_from_file_location("tf_c_api", sys.argv[1])
tf_c_api = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tf_c_api)


def limit_memory(headroom):
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + headroom
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


pipe = os.dup(1)
os.dup2(2, 1)
api = tf_c_api.open_library(sys.argv[2:])
sessions = {}
with os.fdopen(pipe, "w") as replies:
    for line in sys.stdin:
        run = json.loads(line)
        directory = run["saved_model"]
        if run["headroom"] is not None:
            limit_memory(run["headroom"])
        try:
            if directory not in sessions:
                sessions[directory] = tf_c_api.Session(api, directory)
            reply = {"outputs": sessions[directory].run(run["signature"], run["inputs"])}
        except RuntimeError as error:
            reply = {"error": str(error)}
        print(json.dumps(reply), file=replies, flush=True)
