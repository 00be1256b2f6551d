"""Stand-ins for tensorflow_model_server, which no package registry has.

They follow what TF Serving documents (api_rest.md) and does (json_tensor.cc, predict_util.cc), as
far as a client can see it; nothing here was ever compared with the server itself. What computes is
TensorFlow's C++ loader in a process of its own, as in the server.
"""

import base64
import contextlib
import json
import re
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from tests import cpp_server
from tests.cpp_server import CppServer

HTTP_STATUS = {"NOT_FOUND": 404, "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400}


class Refused(Exception):
    """An error of the server: a code of absl::Status, and a text."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code, self.text = code, text


class Runtime(CppServer):
    """SavedModels in the C++ loader, which refuses as the server does."""

    def __call__(self, directory, signature, inputs):
        try:
            return super().__call__(directory, signature, inputs)
        except cpp_server.Refused as error:
            raise Refused("INVALID_ARGUMENT", str(error)) from error


class Models:
    """The models of a models.config, whose /models is `mount`; `runtime` computes."""

    def __init__(self, config, mount, runtime):
        parsed = text_format.Parse(config, model_server_config_pb2.ModelServerConfig())
        self.runtime = runtime
        self.versions = {}
        for entry in parsed.model_config_list.config:
            assert entry.base_path.startswith("/models/")
            found = (mount / entry.base_path.removeprefix("/models/")).iterdir()
            self.versions[entry.name] = {int(p.name): p for p in found if p.name.isdecimal()}

    def directory(self, model, version=None):
        """Returns where the version of a model is, by default the newest."""
        versions = self.versions.get(model, {})
        if not versions or (version or max(versions)) not in versions:
            which = f"Specific({model}, {version})" if version else f"Latest({model})"
            raise Refused("NOT_FOUND", f"Servable not found for request: {which}")
        return versions[version or max(versions)]

    def inputs(self, directory, signature):
        """Returns input name -> dtype of a signature."""
        content = (directory / "saved_model.pb").read_bytes()
        (graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
        if signature not in graph.signature_def:
            text = f'Serving signature name: "{signature}" not found in signature def'
            raise Refused("INVALID_ARGUMENT", text)
        given = graph.signature_def[signature].inputs
        return {name: tf.dtypes.as_dtype(given[name].dtype) for name in sorted(given)}

    def run(self, directory, signature, inputs):
        """Returns the outputs of a signature; refuses names and dtypes that are not its own."""
        expected = self.inputs(directory, signature)
        if set(expected) != set(inputs):
            text = f"input size does not match signature: {set(inputs)} != {set(expected)}"
            raise Refused("INVALID_ARGUMENT", text)
        for name, dtype in expected.items():
            if tf.dtypes.as_dtype(inputs[name].dtype) != dtype:
                text = f"Expects {name} to be {dtype.name} but {inputs[name].dtype} is provided"
                raise Refused("INVALID_ARGUMENT", text)
        if len({x.shape[0] if x.ndim else None for x in inputs.values()}) > 1:
            # What compose.yaml turns on asks for it: batching_session.cc
            text = "Batching Run() input tensors must have equal 0th-dimension size"
            raise Refused("INVALID_ARGUMENT", text)
        return self.runtime(directory, signature, inputs)


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict of the gRPC interface."""

    def __init__(self, models):
        self.models = models

    def Predict(self, request, context):
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else None
        try:
            directory = self.models.directory(spec.name, version)
            name = spec.signature_name or "serving_default"
            inputs = {key: tf.make_ndarray(x) for key, x in request.inputs.items()}
            outputs = self.models.run(directory, name, inputs)
        except Refused as error:
            context.abort(grpc.StatusCode[error.code], error.text)
        response = predict_pb2.PredictResponse()
        response.model_spec.CopyFrom(spec)
        response.model_spec.version.value = int(directory.name)
        for key, value in outputs.items():
            response.outputs[key].CopyFrom(_as_proto_field(value))
        return response


def _as_proto_field(array):
    """Returns what Tensor::AsProtoField writes: a number a field, no packed content."""
    proto = tf.make_tensor_proto(array)
    if proto.tensor_content:
        proto = tensor_pb2.TensorProto(dtype=proto.dtype, tensor_shape=proto.tensor_shape)
        values = {"float32": proto.float_val, "int32": proto.int_val}[array.dtype.name]
        values.extend(array.ravel().tolist())
    return proto


@contextlib.contextmanager
def grpc_server(models):
    """Gives the port of a gRPC server on loopback."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    service = PredictionService(models)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def rest_server(models):
    """Gives the port of an HTTP server on loopback."""
    handler = type("Handler", (RestHandler,), {"models": models})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class RestHandler(BaseHTTPRequestHandler):
    """GET of a model's status and POST of predict."""

    models: Models

    def do_GET(self):
        self.answer(r"/v1/models/([^/:]+)(?:/versions/(\d+))?", self.status)

    def do_POST(self):
        self.answer(r"/v1/models/([^/:]+)(?:/versions/(\d+))?:predict", self.predict)

    def answer(self, pattern, method):
        """Sends the JSON that `method` makes of model, version and body, or of its error."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            match = re.fullmatch(pattern, self.path)
            if not match:
                text = f"Malformed request: {self.command} {self.path}"
                raise Refused("INVALID_ARGUMENT", text)
            model, version = match.groups()
            code, content = 200, method(model, int(version) if version else None, body)
        except Refused as error:
            code, content = HTTP_STATUS[error.code], {"error": error.text}
        data = json.dumps(content, indent=4).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def status(self, model, version, body):
        number = self.models.directory(model, version).name
        status = {"error_code": "OK", "error_message": ""}
        entry = {"version": number, "state": "AVAILABLE", "status": status}
        return {"model_version_status": [entry]}

    def predict(self, model, version, body):
        directory = self.models.directory(model, version)
        try:
            request = json.loads(body)
        except ValueError as error:
            raise Refused("INVALID_ARGUMENT", f"JSON Parse error: {error}") from None
        signature = request.get("signature_name", "serving_default")
        dtypes = self.models.inputs(directory, signature)
        if ("instances" in request) == ("inputs" in request):
            raise Refused("INVALID_ARGUMENT", "Missing 'inputs' or 'instances' key, or both")
        rows = "instances" in request
        columns = _columns(request["instances"], dtypes) if rows else request["inputs"]
        if not isinstance(columns, dict) or _is_base64(columns):
            if len(dtypes) > 1:
                raise Refused("INVALID_ARGUMENT", "inputs is a plain value/list")
            columns = {next(iter(dtypes)): columns}
        for name in dtypes:
            if name not in columns:
                raise Refused("INVALID_ARGUMENT", f"Missing named input: {name}")
        tensors = {name: _tensor(columns[name], dtype) for name, dtype in dtypes.items()}
        outputs = self.models.run(directory, signature, tensors)
        plain = {name: _plain(name, value) for name, value in outputs.items()}
        if not rows:
            return {"outputs": plain if len(plain) > 1 else next(iter(plain.values()))}
        if len(plain) == 1:
            return {"predictions": next(iter(plain.values()))}
        by_row = zip(*plain.values(), strict=True)
        return {"predictions": [dict(zip(plain, row, strict=True)) for row in by_row]}

    def log_message(self, *arguments):
        pass


def _is_base64(value):
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def _columns(instances, dtypes):
    """Returns input name -> rows of a request in row format."""
    if not isinstance(instances, list) or not instances:
        raise Refused("INVALID_ARGUMENT", "No values in 'instances' array")
    objects = [isinstance(row, dict) and not _is_base64(row) for row in instances]
    if not any(objects):
        return instances
    if not all(objects) or any(set(row) != set(dtypes) for row in instances):
        raise Refused("INVALID_ARGUMENT", f"Failed: keys must be equal to: {','.join(dtypes)}")
    return {name: [row[name] for row in instances] for name in dtypes}


def _tensor(value, dtype):
    """Returns the array of a JSON value; no JSON type passes for another."""
    leaves = []

    def visit(item):
        if isinstance(item, list):
            return [visit(x) for x in item]
        leaves.append(item)
        if dtype == tf.string:
            return base64.b64decode(item["b64"]) if _is_base64(item) else item.encode()
        return item

    try:
        array = np.array(visit(value), object if dtype == tf.string else None)
    except (ValueError, AttributeError, TypeError):
        raise Refused("INVALID_ARGUMENT", f"JSON Value: {str(value)[:50]} is no tensor") from None
    kinds = {tf.string: (str, dict), tf.float32: (int, float), tf.bool: (bool,)}.get(dtype, (int,))
    wrong = [
        x for x in leaves if not isinstance(x, kinds) or (isinstance(x, bool) and dtype != tf.bool)
    ]
    if dtype.is_integer:
        wrong += [x for x in leaves if x not in wrong and not dtype.min <= x <= dtype.max]
    if wrong:
        text = f"JSON Value: {wrong[0]} is not of expected type: {dtype.name}"
        raise Refused("INVALID_ARGUMENT", text)
    return array.astype(dtype.as_numpy_dtype)


def _plain(name, array):
    """Returns the JSON value of an output; strings called *_bytes in base64."""
    if array.dtype != object:
        return array.tolist()
    encode = name.endswith("_bytes")
    texts = [{"b64": base64.b64encode(x).decode()} if encode else x.decode() for x in array.ravel()]
    return np.array(texts, object).reshape(array.shape).tolist()
