"""Requests to TF Serving over gRPC: pip install tensorflow-serving-api numpy.

    python grpc_client.py [HOST [PORT]]

sends one request to each signature. In a program of your own:

    image = predict("generate", {"seed": [7, 8], "temperature": [1.0, 1.0]})["image"]
"""

import base64
import functools
import sys

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

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


def predict(signature, inputs, host="localhost", port=8500, version=None, timeout=60):
    """Returns the answer as output name -> array [rows, ...]; strings are bytes.

    Args:
        signature: a key of SIGNATURES.
        inputs: input name -> rows, as nested lists or arrays; strings as bytes.
        host: where TF Serving is.
        port: of its gRPC interface.
        version: of the model; None for the newest.
        timeout: in seconds.

    Raises:
        ServingError: without an answer, or with an error instead of one.
    """
    if signature not in SIGNATURES:
        raise ServingError(f"no signature {signature!r} among {', '.join(SIGNATURES)}")
    entry = SIGNATURES[signature]
    request = predict_pb2.PredictRequest()
    request.model_spec.name = entry["model"]
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    for name, rows in inputs.items():
        spec = entry["inputs"].get(name, {})
        request.inputs[name].CopyFrom(tf.make_tensor_proto(_array(name, rows, spec.get("dtype"))))
    try:
        answer = _stub(host, port).Predict(request, timeout=timeout)
    except grpc.RpcError as error:
        code, details = error.code(), " ".join(error.details().split())
        if code == grpc.StatusCode.UNAVAILABLE:
            raise ServingError(
                f"no answer from TF Serving's gRPC at {host}:{port}: {details}. "
                "Start it, or name another host and port."
            ) from None
        raise ServingError(f"{host}:{port} {signature}: {code.name}: {details}") from None
    return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}


def example(signature, rows=1):
    """Returns inputs for `signature`: all ones, and a white picture where it takes files."""
    return {
        name: [base64.b64decode(spec["example"])] * rows
        if spec["dtype"] == "string"
        else np.full((rows, *spec["shape"][1:]), spec["example"], spec["dtype"])
        for name, spec in SIGNATURES[signature]["inputs"].items()
    }


@functools.cache
def _stub(host, port):
    # Pictures are larger than gRPC's 4 MB
    sizes = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
    channel = grpc.insecure_channel(f"{host}:{port}", options=sizes)
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def _array(name, rows, dtype):
    """Returns `rows` as an array of `dtype`; refuses what is no whole number, or too large."""
    if dtype == "string":
        return np.asarray(rows, object)
    array = np.asarray(rows)
    if dtype is None or array.dtype == dtype:
        return array
    with np.errstate(invalid="ignore"):
        converted = array.astype(dtype)
    if converted.dtype.kind in "iu" and not np.array_equal(converted, array):
        raise ServingError(f"{name} must be {dtype}; {array.dtype} values do not fit")
    return converted


def main(host="localhost", port="8500"):
    """Prints what each signature answers to its example."""
    for signature in SIGNATURES:
        for name, rows in predict(signature, example(signature), host, int(port)).items():
            print(f"{signature}: {name} {rows.dtype} {list(rows.shape)}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ServingError as error:
        sys.exit(f"error: {error}")
