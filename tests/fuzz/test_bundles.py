"""Bundles that are damaged: every change is found, in one sentence; what is served is checked."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.bundles import bundle_of
from tests.cpp_server import CppServer, Refused
from tests.fuzz.fuzzing import damaged, many, refused
from tests.integration.small_model import parts
from vae_tf.exporting import contents, manifest


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundle_of(tmp_path_factory, "whole", **parts())


@pytest.fixture(scope="module")
def copy(bundle, tmp_path_factory):
    target = tmp_path_factory.mktemp("fuzz") / "copy"
    shutil.copytree(bundle.directory, target)
    return target


def files(directory):
    return sorted(path for path in directory.rglob("*") if path.is_file())


@given(data=st.data())
@many(0.1)
def test_a_damaged_file_is_found(copy, data):
    path = data.draw(st.sampled_from(files(copy)))
    whole = path.read_bytes()
    content = data.draw(damaged(whole))
    assume(content != whole)
    path.write_bytes(content)
    try:
        _, error = refused(lambda: contents.check(copy))
        if path.name != "manifest.json":
            assert error is not None
    finally:
        path.write_bytes(whole)


@given(data=st.data())
@many(0.05)
def test_a_manifest_with_other_values(copy, data):
    """Any value of it may be another: it is refused, or it is not what the files depend on."""
    path = copy / "manifest.json"
    whole = path.read_bytes()
    facts = json.loads(whole)
    place, key = None, None
    node = facts
    for _ in range(data.draw(st.integers(1, 4))):
        if isinstance(node, dict) and node:
            place, key = node, data.draw(st.sampled_from(sorted(node)))
        elif isinstance(node, list) and node:
            place, key = node, data.draw(st.integers(0, len(node) - 1))
        else:
            break
        node = place[key]
    items = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    place[key] = data.draw(items | st.lists(items, max_size=2) | st.just({}))
    path.write_text(json.dumps(facts))
    try:
        refused(lambda: manifest.read(copy))
        refused(lambda: contents.check(copy))
    finally:
        path.write_bytes(whole)


@pytest.fixture(scope="module")
def server():
    server = CppServer()
    yield server
    server.close()


@given(data=st.data())
@many(0.06)
def test_requests(bundle, server, data):
    """A row gets finite numbers or NaN throughout; a request that has no rows gets an error."""
    name = data.draw(st.sampled_from(["encode", "decode", "reconstruct", "score", "generate"]))
    signature = bundle.manifest["signatures"].get(name)
    assume(signature is not None)
    rows, inputs = data.draw(st.integers(0, 3)), {}
    for key, spec in signature["inputs"].items():
        shape = (rows, *spec["shape"][1:])
        if data.draw(st.integers(0, 9)) == 0:
            shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6))
        dtype = np.dtype(spec["dtype"])
        elements = st.floats(width=32) | st.floats(0, 1, width=32) if dtype.kind == "f" else None
        inputs[key] = data.draw(hnp.arrays(dtype, shape, elements=elements))
    lengths = {len(value) if value.ndim else -1 for value in inputs.values()}
    rows = lengths.pop() if len(lengths) == 1 else rows  # all of another length are rows as well
    try:
        outputs = server(bundle.directory / signature["saved_model"], name, inputs)
    except Refused:
        return
    for value in outputs.values():
        assert len(value) == rows
        if value.dtype.kind == "f":
            assert not np.isinf(value).any()
            by_row = np.isnan(value.reshape(rows, -1 if rows else 1))
            assert np.all(by_row.all(1) == by_row.any(1))
