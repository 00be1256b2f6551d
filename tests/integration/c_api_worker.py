"""A process that runs signatures on request, without TensorFlow's Python: a program, no module.

`python -I -S c_api_worker.py TF_C_API_PY LIBRARY...` answers each line of standard input, a run as
in tf_c_api.py, by a line `{"outputs": {name: array}}` or `{"error": text}`.
"""

import importlib.util
import json
import os
import sys

spec = importlib.util.spec_from_file_location("tf_c_api", sys.argv[1])
tf_c_api = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tf_c_api)

pipe = os.dup(1)
os.dup2(2, 1)
api = tf_c_api.open_library(sys.argv[2:])
sessions = {}
with os.fdopen(pipe, "w") as replies:
    for line in sys.stdin:
        run = json.loads(line)
        directory = run["saved_model"]
        try:
            if directory not in sessions:
                sessions[directory] = tf_c_api.Session(api, directory)
            reply = {"outputs": sessions[directory].run(run["signature"], run["inputs"])}
        except RuntimeError as error:
            reply = {"error": str(error)}
        print(json.dumps(reply), file=replies, flush=True)
