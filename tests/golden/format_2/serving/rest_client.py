"""Requests to TF Serving over REST, with the standard library alone.

    python rest_client.py [HOST [PORT]]

sends one request to each signature. In a program of your own:

    image = predict("generate", {"seed": [7, 8], "temperature": [1.0, 1.0]})["image"]
"""

import base64
import contextlib
import http.client
import json
import sys
import urllib.error
import urllib.request

# What this bundle's models take and give; None is the number of rows.
SIGNATURES: dict = {'encode': {'model': 'encoder',
            'inputs': {'image': {'dtype': 'float32', 'shape': [None, 4, 4, 1], 'example': 1.0}},
            'outputs': {'z_mean': {'dtype': 'float32', 'shape': [None, 2]},
                        'z_log_var': {'dtype': 'float32', 'shape': [None, 2]}}},
 'sample': {'model': 'encoder',
            'inputs': {'image': {'dtype': 'float32', 'shape': [None, 4, 4, 1], 'example': 1.0},
                       'seed': {'dtype': 'int32', 'shape': [None], 'example': 1}},
            'outputs': {'z': {'dtype': 'float32', 'shape': [None, 2]}}},
 'encode_bytes': {'model': 'encoder',
                  'inputs': {'image_bytes': {'dtype': 'string',
                                             'shape': [None],
                                             'example': 'iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAAAAACMmsGiAAAAEUlEQVQImWP8z8DAwMSAQgAAE1EBB56jnnsAAAAASUVORK5CYII='}},
                  'outputs': {'z_mean': {'dtype': 'float32', 'shape': [None, 2]},
                              'z_log_var': {'dtype': 'float32', 'shape': [None, 2]}}},
 'decode': {'model': 'decoder',
            'inputs': {'z': {'dtype': 'float32', 'shape': [None, 2], 'example': 1.0}},
            'outputs': {'image': {'dtype': 'float32', 'shape': [None, 4, 4, 1]}}},
 'generate': {'model': 'decoder',
              'inputs': {'seed': {'dtype': 'int32', 'shape': [None], 'example': 1},
                         'temperature': {'dtype': 'float32', 'shape': [None], 'example': 1.0}},
              'outputs': {'image': {'dtype': 'float32', 'shape': [None, 4, 4, 1]},
                          'z': {'dtype': 'float32', 'shape': [None, 2]}}},
 'generate_png': {'model': 'decoder',
                  'inputs': {'seed': {'dtype': 'int32', 'shape': [None], 'example': 1},
                             'temperature': {'dtype': 'float32', 'shape': [None], 'example': 1.0}},
                  'outputs': {'image_bytes': {'dtype': 'string', 'shape': [None]}}},
 'reconstruct': {'model': 'vae',
                 'inputs': {'image': {'dtype': 'float32',
                                      'shape': [None, 4, 4, 1],
                                      'example': 1.0}},
                 'outputs': {'image': {'dtype': 'float32', 'shape': [None, 4, 4, 1]}}},
 'score': {'model': 'vae',
           'inputs': {'image': {'dtype': 'float32', 'shape': [None, 4, 4, 1], 'example': 1.0},
                      'seed': {'dtype': 'int32', 'shape': [None], 'example': 1}},
           'outputs': {'elbo': {'dtype': 'float32', 'shape': [None]},
                       'nll': {'dtype': 'float32', 'shape': [None]},
                       'reconstruction': {'dtype': 'float32', 'shape': [None]},
                       'kl': {'dtype': 'float32', 'shape': [None]},
                       'bits_per_dim': {'dtype': 'float32', 'shape': [None]}}},
 'impute': {'model': 'vae',
            'inputs': {'image': {'dtype': 'float32', 'shape': [None, 4, 4, 1], 'example': 1.0},
                       'mask': {'dtype': 'float32', 'shape': [None, 4, 4, 1], 'example': 1.0},
                       'seed': {'dtype': 'int32', 'shape': [None], 'example': 1}},
            'outputs': {'image': {'dtype': 'float32', 'shape': [None, 4, 4, 1]}}}}


class ServingError(RuntimeError):
    """No answer, or one that is an error; the text is one line."""


def predict(signature, inputs, host="localhost", port=8501, version=None, timeout=60):
    """Returns the answer as output name -> list of rows; strings are bytes.

    Args:
        signature: a key of SIGNATURES.
        inputs: input name -> rows, as nested lists or arrays; strings as bytes.
        host: where TF Serving is.
        port: of its REST interface.
        version: of the model; None for the newest.
        timeout: in seconds.

    Raises:
        ServingError: without an answer, or with an error instead of one.
    """
    if signature not in SIGNATURES:
        raise ServingError(f"no signature {signature!r} among {', '.join(SIGNATURES)}")
    entry = SIGNATURES[signature]
    model = entry["model"] + ("" if version is None else f"/versions/{version}")
    body = {"signature_name": signature, "inputs": {k: _to_json(x) for k, x in inputs.items()}}
    answer = _post(f"http://{host}:{port}", f"/v1/models/{model}:predict", body, timeout)
    outputs, names = answer["outputs"], list(entry["outputs"])
    # Of a single output the server leaves out the name.
    named = outputs if len(names) > 1 else {names[0]: outputs}
    return {name: _from_json(value) for name, value in named.items()}


def example(signature, rows=1):
    """Returns inputs for `signature`: all ones, and a white picture where it takes files."""
    inputs = SIGNATURES[signature]["inputs"]
    return {name: [_example_row(spec)] * rows for name, spec in inputs.items()}


def _example_row(spec):
    if spec["dtype"] == "string":
        return base64.b64decode(spec["example"])
    value = spec["example"]
    for size in reversed(spec["shape"][1:]):
        value = [value] * size
    return value


def _to_json(value):
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if hasattr(value, "tolist"):
        return _to_json(value.tolist())
    return [_to_json(x) for x in value] if isinstance(value, (list, tuple)) else value


def _from_json(value):
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return [_from_json(x) for x in value] if isinstance(value, list) else value


def _post(server, path, body, timeout):
    request = urllib.request.Request(server + path, json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = json.loads(text)["error"]
        raise ServingError(f"{server}{path}: {error.code}: {' '.join(text.split())}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise ServingError(
            f"no answer from TF Serving's REST at {server}: {' '.join(str(reason).split())}. "
            "Start it, or name another host and port."
        ) from None


def main(host="localhost", port="8501"):
    """Prints what each signature answers to its example."""
    for signature in SIGNATURES:
        for name, rows in predict(signature, example(signature), host, int(port)).items():
            print(f"{signature}: {name} {str(rows)[:100]}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ServingError as error:
        sys.exit(f"error: {error}")
