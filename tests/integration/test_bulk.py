"""Bulk jobs on Beam's in-process runner, beside the SavedModel called directly."""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.bundles import bundle_of

from . import small_model

pq = pytest.importorskip("pyarrow.parquet", reason="bulk jobs read and write Parquet")
pytest.importorskip("apache_beam", reason="`make test-beam` has it, in an environment of its own")

import pyarrow as pa  # noqa: E402

from vae_tf.bulk import storage  # noqa: E402
from vae_tf.cli import bulk  # noqa: E402

ROOT = Path(__file__).parents[2]
SHAPE = small_model.SHAPE
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:apache_beam")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    parts = small_model.parts()
    options = dataclasses.replace(parts["options"], only="savedmodel")
    return bundle_of(tmp_path_factory, "bulk", **parts | {"options": options})


@pytest.fixture(scope="module")
def direct(bundle):
    """Returns a function that calls a signature of the bundle's SavedModels."""
    loaded = {}

    def call(signature, **inputs):
        path = str(bundle.directory / bundle.manifest["signatures"][signature]["saved_model"])
        if path not in loaded:
            loaded[path] = tf.saved_model.load(path)
        outputs = loaded[path].signatures[signature](
            **{name: tf.constant(value) for name, value in inputs.items()}
        )
        return {name: value.numpy() for name, value in outputs.items()}

    return call


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).random((50, *SHAPE)).astype("float32")


@pytest.fixture
def job(bundle, tmp_path, monkeypatch):
    """Returns a function that runs the command in a directory of its own and returns its code."""
    monkeypatch.chdir(tmp_path)

    def run(command, *flags):
        flags = [str(flag) for flag in flags]
        given = [] if "--bundle" in flags else ["--bundle", str(bundle.directory)]
        return bulk.main([command, *given, *flags])

    return run


def manifest(directory):
    return json.loads(Path(directory, "manifest.json").read_text())


def rows(directory):
    """Returns the columns of an output, after its shards were found as the manifest has them."""
    facts = manifest(directory)
    names = [shard["shard"] for shard in facts["shards"]]
    assert sorted(os.listdir(directory)) == sorted(["manifest.json", *names])
    tables = []
    for shard in facts["shards"]:
        data = Path(directory, shard["shard"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == shard["sha256"]
        assert len(data) == shard["bytes"]
        tables.append(pq.read_table(Path(directory, shard["shard"])))
        assert len(tables[-1]) == shard["rows"]
    table = pa.concat_tables(tables)
    assert len(table) == facts["output_rows"]
    assert table.column_names == list(facts["columns"])
    found = {}
    for name, entry in facts["columns"].items():
        assert entry["meaning"]
        shape = [-1, *entry["shape"][1:]]
        values = table[name].to_pylist()
        found[name] = values if entry["dtype"] == "string" else np.array(values).reshape(shape)
    return found


def same_bytes(one, other):
    names = sorted(os.listdir(one))
    assert names == sorted(os.listdir(other))
    return all(Path(one, n).read_bytes() == Path(other, n).read_bytes() for n in names)


def write_parquet(path, x, **columns):
    flat = {"image": list(x.reshape(len(x), np.prod(SHAPE))), **columns}
    pq.write_table(pa.table(flat), path, row_group_size=10)


def write_tfrecord(path, x):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i, row in enumerate(x):
            image = tf.train.Feature(float_list=tf.train.FloatList(value=row.reshape(-1)))
            key = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"row %d" % i]))
            example = tf.train.Example()
            example.features.feature["image"].CopyFrom(image)
            example.features.feature["key"].CopyFrom(key)
            writer.write(example.SerializeToString())


@pytest.mark.parametrize("kind", ["npy", "parquet", "tfrecord"])
def test_encode_is_the_saved_model_row_by_row(job, x, direct, kind, tmp_path):
    (tmp_path / "in").mkdir()
    for name, part in (("b", x[30:]), ("a", x[:30])):
        if kind == "npy":
            np.save(tmp_path / f"in/{name}.npy", part)
        elif kind == "parquet":
            keys = [f"row {i}" for i in range(len(part))]
            write_parquet(tmp_path / f"in/{name}.parquet", part, key=keys)
        else:
            write_tfrecord(tmp_path / f"in/{name}.tfrecord", part)
    flags = ("--shard-rows", 20, "--batch-rows", 10)
    assert job("encode", "--input", f"in/*.{kind}", "--output", "out", *flags) == 0
    found = rows("out")
    assert found["file"] == [f"a.{kind}"] * 30 + [f"b.{kind}"] * 20
    np.testing.assert_array_equal(found["row"], [*range(30), *range(20)])
    if kind != "npy":
        assert found["key"] == [f"row {i}" for i in found["row"]]
    batches = [direct("encode", image=x[i : i + 10]) for i in range(0, 50, 10)]
    for name in ("z_mean", "z_log_var"):
        np.testing.assert_array_equal(found[name], np.concatenate([b[name] for b in batches]))
    assert len(manifest("out")["shards"]) == {"npy": 3, "parquet": 3, "tfrecord": 2}[kind]


def test_score_and_its_seeds(job, x, direct):
    np.save("x.npy", x)
    assert job("score", "--input", "x.npy", "--output", "out", "--seed", 3) == 0
    found = rows("out")
    assert len(set(found["seed"])) == 50
    expected = direct("score", image=x, seed=found["seed"].astype("int32"))
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])
    assert manifest("out")["columns"]["nll"]["unit"] == "nats"
    # Other shards and batches: the same seeds, and the same numbers but for rounding
    cut = ("--shard-rows", 7, "--batch-rows", 3)
    assert job("score", "--input", "x.npy", "--output", "cut", "--seed", 3, *cut) == 0
    others = rows("cut")
    np.testing.assert_array_equal(others["seed"], found["seed"])
    np.testing.assert_allclose(others["nll"], found["nll"], rtol=1e-5)
    assert job("score", "--input", "x.npy", "--output", "other", "--seed", 4) == 0
    assert not set(rows("other")["seed"]) & set(found["seed"])


def test_generate_is_the_same_again(job, direct):
    for name in ("one", "two"):
        flags = ("--rows", 25, "--seed", 1, "--shard-rows", 10, "--temperature", 0.5)
        assert job("generate", "--output", name, *flags) == 0
    assert same_bytes("one", "two")
    found = rows("one")
    np.testing.assert_array_equal(found["row"], np.arange(25))
    half = np.full(25, 0.5, "float32")
    expected = direct("generate", seed=found["seed"].astype("int32"), temperature=half)
    np.testing.assert_allclose(found["image"], expected["image"], rtol=1e-5, atol=1e-6)


def test_decode_and_tfrecord_shards(job, direct):
    z = np.random.default_rng(1).normal(size=(12, 3)).astype("float32")
    np.save("z.npy", z)
    assert job("decode", "--input", "z.npy", "--output", "out", "--format", "tfrecord") == 0
    (shard,) = manifest("out")["shards"]
    features = {
        "image": tf.io.FixedLenFeature(SHAPE, tf.float32),
        "row": tf.io.FixedLenFeature((), tf.int64),
        "file": tf.io.FixedLenFeature((), tf.string),
    }
    records = list(tf.data.TFRecordDataset(f"out/{shard['shard']}").as_numpy_iterator())
    found = tf.io.parse_example(records, features)
    np.testing.assert_array_equal(found["row"], np.arange(12))
    np.testing.assert_array_equal(found["image"], direct("decode", z=z)["image"])
    # What one job writes, another reads
    assert job("encode", "--input", "out/*.tfrecord", "--output", "again") == 0
    assert len(rows("again")["row"]) == 12


def test_impute_takes_nan_for_a_gap(job, x, direct):
    gaps = np.random.default_rng(2).random(x.shape) < 0.3
    np.save("x.npy", np.where(gaps, np.nan, x).astype("float32"))
    assert job("impute", "--input", "x.npy", "--output", "out") == 0
    found = rows("out")
    given = {"image": x, "mask": (~gaps).astype("float32"), "seed": found["seed"].astype("int32")}
    np.testing.assert_array_equal(found["image"], direct("impute", **given)["image"])
    write_parquet("x.parquet", x, mask=list((~gaps).astype("float32").reshape(len(x), -1)))
    assert job("impute", "--input", "x.parquet", "--output", "masked") == 0
    np.testing.assert_array_equal(rows("masked")["image"][~gaps], x[~gaps])


def refused(capsys, code):
    """Returns the one line with which the command refuses."""
    assert code == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    return line


def test_a_folder_of_images(job, direct, capsys):
    levels = np.random.default_rng(3).integers(0, 256, (5, *SHAPE), "uint8")
    Path("photos/more").mkdir(parents=True)
    for i, image in enumerate(levels):
        Image.fromarray(image[..., 0]).save(f"photos/{'more/' if i > 2 else ''}{i}.png")
    assert job("encode", "--input", "photos", "--output", "out") == 0
    found = rows("out")
    assert found["file"] == ["0.png", "1.png", "2.png", "more/3.png", "more/4.png"]
    expected = direct("encode", image=levels.astype("float32") / 255)
    np.testing.assert_array_equal(found["z_mean"], expected["z_mean"])
    Path("photos/1.png").write_bytes(b"no image")
    capsys.readouterr()
    line = refused(capsys, job("encode", "--input", "photos", "--output", "bad"))
    assert "1.png" in line
    flags = ("--skip-corrupt", "--overwrite")
    assert job("encode", "--input", "photos", "--output", "bad", *flags) == 0
    assert rows("bad")["file"] == ["0.png", "2.png", "more/3.png", "more/4.png"]
    assert [skipped["file"] for skipped in manifest("bad")["skipped"]] == ["1.png"]
    Image.new("L", (3, 3)).save("photos/1.png")
    line = refused(capsys, job("encode", "--input", "photos", "--output", "size"))
    assert "1.png with image [3, 3, 1]" in line


@pytest.mark.parametrize("kind", ["npy", "parquet", "tfrecord"])
def test_a_corrupt_file(job, x, kind, capsys):
    names = [f"{i}.{kind}" for i in range(3)]
    for name in names:
        if kind == "npy":
            np.save(name, x)
        else:
            (write_parquet if kind == "parquet" else write_tfrecord)(name, x)
    data = bytearray(Path(names[1]).read_bytes())
    if kind == "tfrecord":
        data[len(data) // 2] ^= 1
    Path(names[1]).write_bytes(data[: len(data) - 40] if kind != "tfrecord" else data)
    line = refused(capsys, job("encode", "--input", f"*.{kind}", "--output", "out"))
    assert names[1] in line
    assert not Path("out/manifest.json").exists()
    flags = ("--skip-corrupt", "--overwrite")
    assert job("encode", "--input", f"*.{kind}", "--output", "out", *flags) == 0
    assert rows("out")["file"] == [names[0]] * 50 + [names[2]] * 50
    (skipped,) = manifest("out")["skipped"]
    assert skipped["file"] == names[1]
    assert skipped["reason"]


def test_refusals(job, x, capsys, tmp_path, bundle):
    np.save("x.npy", x)
    np.save("flat.npy", x[:, 0])
    write_parquet("x.parquet", x, other=list(range(50)))
    data = ("--input", "x.npy", "--output")

    def says(*flags):
        return refused(capsys, job(*flags))

    assert "[5, 1]" in says("encode", "--input", "flat.npy", "--output", "new")
    assert job("encode", *data, "old") == 0
    capsys.readouterr()
    assert "which exists, finished" in says("encode", *data, "old")
    other = ("--seed", 1, "--overwrite")
    assert job("score", *data, "old", *other) == 0
    assert "nll" in rows("old")
    capsys.readouterr()
    Path("mine").mkdir()
    Path("mine/manifest.json").write_text("{}")
    assert "which exists" in says("encode", *data, "mine", "--overwrite")
    assert Path("mine/manifest.json").read_text() == "{}"
    assert "its flags" in says("encode", *data, "new", "--", "--runner=None")
    Path("new/.job/job.json").unlink()  # killed before it knew what it was
    assert "known name" in says("encode", *data, "new", "--signature", "encod")
    assert "one kind" in says("encode", "--input", "x.*", "--output", "new")
    assert "none at" in says("encode", "--input", "no/*.npy", "--output", "new")
    assert "without z" in says("decode", "--input", "x.parquet", "--output", "newer")
    assert "manifest" in says("encode", *data, "new", "--bundle", tmp_path)
    assert "needs a --bundle" in says("encode", "--output", "new")
    assert "Did you mean" in refused(capsys, bulk.main(["encod"]))


def test_rows_without_an_answer_are_counted(job, x, capsys):
    np.save("x.npy", np.concatenate([x[:3], x[:2] + 7]))
    assert job("encode", "--input", "x.npy", "--output", "out") == 0
    assert "2 have no answer" in capsys.readouterr().out
    assert manifest("out")["unanswered"] == 2
    np.testing.assert_array_equal(np.isnan(rows("out")["z_mean"]).any(1), [0, 0, 0, 1, 1])


def command(bundle, *flags):
    door = [sys.executable, "-m", "vae_tf.bulk", "score", "--bundle", str(bundle.directory)]
    return [*door, *map(str, flags)]


def test_empty_files_and_what_a_job_wrote(job, x):
    Path("in").mkdir()
    for name, part in (("a", x[:0]), ("b", x[:7]), ("c", x[:0])):
        write_parquet(f"in/{name}.parquet", part)
        write_tfrecord(f"in/{name}.tfrecord", part)
    for kind in ("parquet", "tfrecord"):
        flags = ("--signature", "reconstruct", "--format", "parquet")
        assert job("encode", "--input", f"in/*.{kind}", "--output", kind, *flags) == 0
        assert rows(kind)["file"] == [f"b.{kind}"] * 7
    assert job("encode", "--input", "parquet", "--output", "again") == 0
    assert len(rows("again")["z_mean"]) == 7


def test_a_job_that_is_killed_as_it_removes_files_goes_on(job, x, capsys, monkeypatch):
    np.save("x.npy", x)
    flags = ("--input", "x.npy", "--shard-rows", 25, "--batch-rows", 25, "--output")
    assert job("score", *flags, "other") == 0
    assert job("encode", *flags, "whole") == 0
    delete = storage.delete

    def killed_after(number):
        left = itertools.count(number, -1)

        def deleted(directory, names):
            for name in names:
                if not next(left):
                    raise KeyboardInterrupt
                delete(directory, [name])

        return deleted

    codes = []
    for number in itertools.count():
        shutil.copytree("other", f"out{number}")
        command = ("encode", *flags, f"out{number}")
        with monkeypatch.context() as patched:
            patched.setattr(storage, "delete", killed_after(number))
            codes.append(job(*command, "--overwrite"))
        if codes[-1] == 0:
            break
        known = number > 2  # what was there is gone, and the job has begun
        assert job(*command, *([] if known else ["--overwrite"])) == 0
        assert not Path(f"out{number}/.job").exists()
        assert manifest(f"out{number}")["shards"] == manifest("whole")["shards"]
    # The other job's manifest and two shards, then what was known of two new ones, and the rest
    assert codes == [130] * 6 + [0]


def test_a_job_whose_data_changed_is_another(job, x, capsys):
    np.save("x.npy", x)
    assert job("encode", "--input", "x.npy", "--output", "out") == 0
    os.utime("x.npy", (1, 1))
    Path("out/manifest.json").unlink()
    Path("out/.job").mkdir()
    Path("out/.job/job.json").write_text('{"signature": "encode"}')
    capsys.readouterr()
    line = refused(capsys, job("encode", "--input", "x.npy", "--output", "out"))
    assert "other flags or data" in line
    assert job("encode", "--input", "x.npy", "--output", "out", "--overwrite") == 0


@pytest.mark.slow
def test_a_dead_worker_ends_the_job_in_one_line(job, x, bundle, tmp_path):
    np.save("x.npy", np.tile(x, (2000, 1, 1, 1)))
    flags = ("--input", "x.npy", "--output", "out", "--shard-rows", 50, "--processes", 2)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(
        command(bundle, *flags), env=env, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline = time.time() + 300
        while len(list(tmp_path.glob("out/.job/0????.json"))) < 5:
            assert started.poll() is None
            assert time.time() < deadline
            time.sleep(0.01)
        found = ["pgrep", "-g", str(started.pid), "-f", "python.*sdk_worker_main"]
        pids = subprocess.run(found, capture_output=True, text=True, check=True).stdout.split()
        os.kill(int(pids[-1]), signal.SIGKILL)
        said = started.communicate(timeout=120)[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
    assert started.returncode == 1
    lines = [line for line in said.splitlines() if not line.startswith("Killed")]
    assert len(lines) == 1
    assert "as long as the job" in lines[0]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_job_goes_on_to_the_same_bytes(job, x, bundle, tmp_path, processes):
    np.save("x.npy", np.tile(x, (40, 1, 1, 1)))
    flags = ("--input", "x.npy", "--shard-rows", 20, "--batch-rows", 20)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    several = ("--processes", processes)
    whole = command(bundle, *flags, "--output", "killed", *several)
    started = subprocess.Popen(whole, env=env, start_new_session=True)
    deadline = time.time() + 300
    while len(list(tmp_path.glob("killed/.job/000??.json"))) < 5:
        assert started.poll() is None
        assert time.time() < deadline
        time.sleep(0.01)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert not Path("killed/manifest.json").exists()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("killed/shard-*")}
    assert 5 <= len(before) < 100
    sidecars = {path.name[:5] for path in tmp_path.glob("killed/.job/000??.json")}
    assert subprocess.run(whole, env=env).returncode == 0
    for path, written in before.items():
        if path.name[6:11] in sidecars:
            assert path.stat().st_mtime_ns == written
    assert subprocess.run(command(bundle, *flags, "--output", "once"), env=env).returncode == 0
    assert same_bytes("killed", "once")
    np.testing.assert_array_equal(rows("killed")["row"], np.arange(2000))


def test_the_page(bundle, tmp_path, monkeypatch, x):
    """docs/scale.md, command by command."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/scale.md").read_text("utf-8").partition("## Bulk jobs")[2]
    section = page.partition("\n## ")[0]
    Path("artefacts").mkdir()
    Path("artefacts/faces").symlink_to(bundle.directory)
    Path("photos").mkdir()
    Path("rows").mkdir()
    for i in range(3):
        Image.fromarray((x[i, ..., 0] * 255).astype("uint8")).save(f"photos/{i}.png")
        write_parquet(f"rows/{i}.parquet", x)
        write_tfrecord(f"rows/{i}.tfrecord", x)
    np.save("z.npy", np.zeros((4, 3), "float32"))
    done = []
    for block in re.findall(r"```bash\n(.*?)```", section, re.S):
        for line in block.replace("\\\n", " ").splitlines():
            words = line.split()
            assert words[0] == "vae-tf-bulk"
            assert bulk.main([word.strip("'") for word in words[1:]]) == 0
            done.append(words[1])
    assert set(done) == set(bulk.COMMANDS)
