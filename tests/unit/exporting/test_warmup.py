"""Warm-up records: read by TF Serving's own protos, and replayed in the C++ loader."""

import numpy as np
import pytest
import tensorflow as tf

from vae_tf.errors import ExportError
from vae_tf.exporting.serving import warmup
from vae_tf.formats.runtimes import cpp_loader

log_pb2 = pytest.importorskip(
    "tensorflow_serving.apis.prediction_log_pb2", reason="the protos of tensorflow-serving-api"
)

NUMBERS = {"dtype": "float32", "shape": [None]}
SIGNATURES = {
    "encode": {
        "saved_model": "encoder/7",
        "inputs": {"image": {"dtype": "float32", "shape": [None, 6, 5, 3]}},
    },
    "encode_bytes": {
        "saved_model": "encoder/7",
        "inputs": {"image_bytes": {"dtype": "string", "shape": [None]}},
    },
    "sample": {
        "saved_model": "encoder/7",
        "inputs": {
            "image": {"dtype": "uint8", "shape": [None, 6, 5, 3]},
            "seed": {"dtype": "int32", "shape": [None]},
            "known": {"dtype": "bool", "shape": [None, 6, 5, 3]},
            "temperature": NUMBERS | {"only": 0.25},
        },
    },
    "decode": {
        "saved_model": "decoder/7",
        "inputs": {"z": {"dtype": "float32", "shape": [None, 3]}},
    },
}


def read(path):
    return [
        log_pb2.PredictionLog.FromString(r)
        for r in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]


def test_records_by_the_server_s_protos(tmp_path):
    model = tmp_path / "encoder" / "7"
    model.mkdir(parents=True)
    path = warmup.write_warmup(model, SIGNATURES)
    assert path == model / "assets.extra" / "tf_serving_warmup_requests"
    requests = [record.predict_log.request for record in read(path)]
    assert [(r.model_spec.name, r.model_spec.signature_name) for r in requests] == [
        ("encoder", name) for name in ("encode", "encode_bytes", "sample") for _ in range(2)
    ]
    for request, size in zip(requests, [1, 16] * 3, strict=True):
        described = SIGNATURES[request.model_spec.signature_name]["inputs"]
        assert set(request.inputs) == set(described)
        for name, proto in request.inputs.items():
            want = described[name]
            # By the server's own conversion, TensorProto to Tensor, as by Python's
            value = tf.io.parse_tensor(proto.SerializeToString(), want["dtype"]).numpy()
            np.testing.assert_array_equal(value, tf.make_ndarray(proto))
            assert value.shape == (size, *want["shape"][1:])
            if want["dtype"] == "string":
                assert {tf.io.decode_image(v).shape for v in value} == {(6, 5, 3)}
            else:
                np.testing.assert_array_equal(value, want.get("only", 1))


def test_bytes_are_those_of_the_server_s_protos():
    for name, size in (("decode", 3), ("d" * 300, 300)):  # lengths of one byte, and of two
        tensor = tf.make_tensor_proto(np.ones((2, size), np.float32))
        log = log_pb2.PredictionLog()
        request = log.predict_log.request
        request.model_spec.name, request.model_spec.signature_name = "decoder", name
        request.inputs["z"].CopyFrom(tensor)
        ours = warmup.prediction_log("decoder", name, {"z": tensor.SerializeToString()})
        assert ours == log.SerializeToString(deterministic=True)


def test_records_run_in_the_cpp_loader(exported, tmp_path):
    bundle = exported.bundle
    for half in (bundle.encoder, bundle.decoder):
        stage = tmp_path / half.parent.name / half.name
        stage.mkdir(parents=True)
        records = read(warmup.write_warmup(stage, bundle.manifest["signatures"]))
        assert records
        calls = []
        for record in records:
            request = record.predict_log.request
            inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
            calls.append(cpp_loader.Call(half, request.model_spec.signature_name, [inputs]))
        for i, (outputs,) in enumerate(cpp_loader.run(calls)):
            size = warmup.BATCH_SIZES[i % 2]
            assert all(len(value) == size for value in outputs.values())
            assert all(np.isfinite(v).all() for v in outputs.values() if v.dtype.kind == "f")


def test_records_are_few_bytes_and_always_the_same(tmp_path):
    contents = []
    for i in range(2):
        model = tmp_path / str(i) / "encoder" / "7"
        model.mkdir(parents=True)
        contents.append(warmup.write_warmup(model, SIGNATURES).read_bytes())
    assert contents[0] == contents[1]
    assert len(contents[0]) < 2000


def test_stands_beside_the_prior(tmp_path):
    model = tmp_path / "decoder" / "7"
    (model / "assets.extra").mkdir(parents=True)
    (model / "assets.extra" / "prior.npz").touch()
    warmup.write_warmup(model, SIGNATURES)
    assert {p.name for p in (model / "assets.extra").iterdir()} == {
        "prior.npz",
        "tf_serving_warmup_requests",
    }


def test_nothing_for_a_model_without_signatures(tmp_path):
    model = tmp_path / "vae" / "7"
    model.mkdir(parents=True)
    assert warmup.write_warmup(model, SIGNATURES) is None
    assert list(model.iterdir()) == []


def test_more_records_than_the_server_takes(tmp_path):
    many = {f"decode{i}": SIGNATURES["decode"] for i in range(501)}
    with pytest.raises(ExportError, match=r"1000 warm-up records. Received: 1002"):
        warmup.write_warmup(tmp_path / "decoder" / "7", many)


def test_a_file_needs_a_size():
    alone = {"encode_bytes": SIGNATURES["encode_bytes"]}
    with pytest.raises(ExportError, match="beside one that takes an image"):
        list(warmup.warmup_records("encoder", alone))
