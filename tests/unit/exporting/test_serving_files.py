"""The files of serving/: what TF Serving's own parsers would say of them, and a shell."""

import ast
import json
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import tensorflow as tf
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)

from vae_tf.exporting.serving.files import serving_files, signature_table

NUMBERS = {"dtype": "float32", "shape": [None]}
IMAGE = {"dtype": "float32", "shape": [None, 6, 5, 1]}
Z = {"dtype": "float32", "shape": [None, 3]}
TEXT = {"dtype": "string", "shape": [None]}
SEED = {"dtype": "int32", "shape": [None]}
SIGNATURES = {
    "encode": {
        "max_rows": 4096,
        "saved_model": "encoder/7",
        "inputs": {"image": IMAGE},
        "outputs": {"z_mean": Z, "z_log_var": Z},
    },
    "encode_bytes": {
        "max_rows": 4096,
        "saved_model": "encoder/7",
        "inputs": {"image_bytes": TEXT},
        "outputs": {"z_mean": Z, "z_log_var": Z},
    },
    "decode": {
        "max_rows": 1024,
        "saved_model": "decoder/7",
        "inputs": {"z": Z},
        "outputs": {"image": IMAGE},
    },
    "generate_png": {
        "max_rows": 1024,
        "saved_model": "decoder/7",
        "inputs": {"seed": SEED, "temperature": NUMBERS | {"only": 0.5}},
        "outputs": {"image_bytes": TEXT},
    },
    "score": {
        "max_rows": 64,
        "saved_model": "vae/7",
        "inputs": {"image": IMAGE | {"dtype": "uint8"}, "seed": SEED},
        "outputs": {"elbo": NUMBERS},
    },
}
MODELS = ["encoder", "decoder", "vae"]
WRAPPERS = ".google.protobuf.{}Value"


@pytest.fixture(scope="module")
def files():
    return serving_files({"signatures": SIGNATURES})


def test_names(files):
    assert set(files) == {
        *("models.config", "batching.config", "monitoring.config", "compose.yaml"),
        *("request.sh", "rest_client.py", "grpc_client.py"),
    }
    assert all(text.endswith("\n") and "@MODELS@" not in text for text in files.values())


def test_models_config_is_read_by_the_server_s_proto(files):
    proto = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    config = text_format.Parse(files["models.config"], proto.ModelServerConfig())
    entries = config.model_config_list.config
    assert [(e.name, e.base_path, e.model_platform) for e in entries] == [
        (model, f"/models/{model}", "tensorflow") for model in MODELS
    ]
    assert all(e.model_version_policy.latest.num_versions == 1 for e in entries)
    assert not any(e.version_labels for e in entries)
    # What the comment says to put there instead is read, too.
    lines = files["models.config"].splitlines()
    remark = "\n".join(line[2:] for line in lines if line.startswith("#   "))
    labelled = text_format.Parse(remark, proto.ModelConfig())
    assert dict(labelled.version_labels) == {"stable": 1, "canary": 2}
    assert list(labelled.model_version_policy.specific.versions) == [1, 2]


def message(name, messages):
    """Returns a class of protobuf messages, as .proto files say which are in no package.

    Args:
        name: a key of `messages`.
        messages: message name -> (number, field name, type[, "repeated"]); a type that begins
            with a dot is a message.
    """
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(name="test.proto", package="test", syntax="proto3")
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    for message_name, fields in messages.items():
        described = file.message_type.add(name=message_name)
        for number, field_name, kind, *repeated in fields:
            field = described.field.add(name=field_name, number=number)
            field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            if kind.startswith("."):
                field.type, field.type_name = field.TYPE_MESSAGE, kind
            else:
                field.type = getattr(field, f"TYPE_{kind}")
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"test.{name}"))


def test_batching_config_has_the_documented_fields(files):
    # BatchingParameters of servables/tensorflow/session_bundle_config.proto
    number, flag = WRAPPERS.format("Int64"), WRAPPERS.format("Bool")
    fields = [
        (1, "max_batch_size", number),
        (2, "batch_timeout_micros", number),
        (3, "max_enqueued_batches", number),
        (4, "num_batch_threads", number),
        (5, "thread_pool_name", WRAPPERS.format("String")),
        (6, "allowed_batch_sizes", "INT64", "repeated"),
        (7, "pad_variable_length_inputs", "BOOL"),
        (8, "enable_large_batch_splitting", flag),
        (9, "max_execution_batch_size", number),
    ]
    parameters = message("BatchingParameters", {"BatchingParameters": fields})
    read = text_format.Parse(files["batching.config"], parameters())
    assert read.enable_large_batch_splitting.value is True
    # "max_batch_size should be greater or equal than max_execution_batch_size"
    assert read.max_batch_size.value >= read.max_execution_batch_size.value >= 16
    # What runs together is within every signature's limit, what is taken at all within one's
    limits = [entry["max_rows"] for entry in SIGNATURES.values()]
    assert read.max_execution_batch_size.value == min(limits)
    assert read.max_batch_size.value == max(limits)
    assert read.num_batch_threads.value >= 1
    assert read.max_enqueued_batches.value >= 1
    # Nothing is padded: every size is allowed.
    assert not read.allowed_batch_sizes


def test_monitoring_config_has_the_documented_fields(files):
    # config/monitoring_config.proto
    messages = {
        "PrometheusConfig": [(1, "enable", "BOOL"), (2, "path", "STRING")],
        "MonitoringConfig": [(1, "prometheus_config", ".test.PrometheusConfig")],
    }
    config = message("MonitoringConfig", messages)
    read = text_format.Parse(files["monitoring.config"], config())
    assert read.prometheus_config.enable
    assert read.prometheus_config.path == "/monitoring/prometheus/metrics"


@pytest.fixture(scope="module")
def compose(files):
    yaml = pytest.importorskip("yaml", reason="PyYAML reads compose.yaml")
    return yaml.safe_load(files["compose.yaml"])


def test_compose_mounts_what_the_flags_name(files, compose):
    (service,) = compose["services"].values()
    flags = dict(flag.removeprefix("--").split("=") for flag in service["command"])
    assert flags.pop("enable_batching") == "true"
    named = {path.removeprefix("/models/serving/") for path in flags.values()}
    assert named == {name for name in files if name.endswith(".config")}
    assert service["volumes"] == ["..:/models:ro"]
    assert [port.split(":") for port in service["ports"]] == [
        ["127.0.0.1", "8500", "8500"],
        ["127.0.0.1", "8501", "8501"],
    ]


def test_compose_pins_the_server_to_this_tensorflow(compose):
    name, tag = compose["services"]["serving"]["image"].split(":")
    assert name == "tensorflow/serving"
    assert tag.split(".")[:2] == tf.__version__.split(".")[:2]


def docker_compose():
    """Returns whether there is a docker client with the compose plugin; it needs no engine."""
    command = ["docker", "compose", "version"]
    return (
        shutil.which("docker") is not None
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not docker_compose(), reason="docker compose is missing")
def test_docker_reads_compose(files, tmp_path):
    (tmp_path / "compose.yaml").write_text(files["compose.yaml"])
    command = ["docker", "compose", "-f", str(tmp_path / "compose.yaml"), "config", "--quiet"]
    subprocess.run(command, check=True)


class Status(BaseHTTPRequestHandler):
    """Says what state the models are in, as the server's REST interface does."""

    states: dict

    def do_GET(self):
        state = self.states.get(self.path.removeprefix("/v1/models/"), "END")
        content = {"model_version_status": [{"version": "7", "state": state}]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(content, indent=1).encode())

    def log_message(self, *arguments):
        pass


@pytest.mark.skipif(shutil.which("bash") is None, reason="the health check is bash")
def test_health_check_wants_all_models(compose):
    *_, script = compose["services"]["serving"]["healthcheck"]["test"]
    available = dict.fromkeys(MODELS, "AVAILABLE")

    def healthy(port):
        text = script.replace("$$", "$").replace("8501", str(port))
        done = subprocess.run(["bash", "-c", text], capture_output=True, check=False, timeout=60)
        return done.returncode == 0

    handler = type("Handler", (Status,), {"states": available})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            assert healthy(server.server_port)
            for model in MODELS:
                handler.states = available | {model: "LOADING"}
                assert not healthy(server.server_port)
                # The code of a version that did not load
                handler.states = available | {model: "UNAVAILABLE"}
                assert not healthy(server.server_port)
        finally:
            server.shutdown()
            thread.join()
    assert not healthy(server.server_port)


@pytest.mark.parametrize("client", ["rest_client.py", "grpc_client.py"])
def test_clients_hold_the_signatures(files, client):
    tree = ast.parse(files[client])
    (table,) = [n.value for n in tree.body if isinstance(n, ast.AnnAssign)]
    assert ast.literal_eval(table) == signature_table(SIGNATURES)


def test_table_has_an_example_of_each_input():
    table = signature_table(SIGNATURES)
    assert {name: entry["model"] for name, entry in table.items()} == {
        name: entry["saved_model"].split("/")[0] for name, entry in SIGNATURES.items()
    }
    examples = {k: s["example"] for e in table.values() for k, s in e["inputs"].items()}
    picture = examples.pop("image_bytes")
    assert tf.io.decode_png(tf.io.decode_base64(picture.translate({43: 45, 47: 95}))).shape == (
        6,
        5,
        1,
    )
    assert examples == {"image": 1, "z": 1.0, "seed": 1, "temperature": 0.5}
    # JSON has no other way to tell a float from an integer.
    assert isinstance(examples["z"], float)
    assert isinstance(table["score"]["inputs"]["image"]["example"], int)


def test_shell_script_asks_what_fits_into_a_line(files, tmp_path):
    subprocess.run(["sh", "-n"], input=files["request.sh"], text=True, check=True)
    # A curl that shows what it is asked
    curl = tmp_path / "curl"
    curl.write_text('#!/bin/sh\necho "$8 ${10}" >&2\n')
    curl.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["sh", "-c", files["request.sh"], "request.sh", "host:1"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    asked = [line.split(" ", 1) for line in done.stderr.splitlines()]
    bodies = {json.loads(body)["signature_name"]: json.loads(body) for _, body in asked}
    assert list(bodies) == ["encode_bytes", "decode", "generate_png"]
    assert [url for url, _ in asked] == [
        f"http://host:1/v1/models/{model}:predict" for model in ("encoder", "decoder", "decoder")
    ]
    assert bodies["decode"]["instances"] == [{"z": [1.0, 1.0, 1.0]}]
    assert bodies["generate_png"]["instances"] == [{"seed": 1, "temperature": 0.5}]
    assert list(bodies["encode_bytes"]["instances"][0]["image_bytes"]) == ["b64"]


def test_a_bundle_without_vae_has_no_third_model():
    halves = {k: s for k, s in SIGNATURES.items() if k != "score"}
    files = serving_files({"signatures": halves})
    assert "vae" not in files["models.config"]
    assert "for model in encoder decoder; do" in files["compose.yaml"]
