"""Exports under attack: rivals, full and read-only disks, odd targets, bit rot, bad requests."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.bundles import bundle_of, write_bundle
from tests.cpp_server import CppServer, Refused
from tests.integration import small_model
from vae_tf.cli import app
from vae_tf.errors import ExportError
from vae_tf.exporting import verify_bundle
from vae_tf.formats.runtimes import cpp_loader

ROOT = Path(__file__).parents[2]
PAGE = 4096


@pytest.fixture(scope="module")
def parts():
    return {k: v for k, v in small_model.parts().items() if k not in ("options", "preprocessing")}


@pytest.fixture(scope="module")
def bundle(parts, tmp_path_factory):
    """A bundle nobody may change."""
    return bundle_of(tmp_path_factory, "halves", **parts)


@pytest.fixture
def refuses(parts, capfd):
    """A function: an export to `directory`, as the command line does it, fails in one line."""

    def check(directory, *words):
        capfd.readouterr()
        code = app.run(lambda: write_bundle(**parts, directory=directory), "")
        out, err = capfd.readouterr()
        assert (code, out) == (1, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1, err
        assert all(word in err for word in words), err

    return check


@pytest.fixture
def mount(tmp_path):
    """A function: options of a tmpfs -> the directory where it is mounted during the test."""
    mounted = []

    def make(options):
        if os.geteuid() != 0 or shutil.which("mount") is None:
            pytest.skip("only root may mount a small disk")
        directory = tmp_path / f"disk{len(mounted)}"
        directory.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(directory)]
        if subprocess.run(command, capture_output=True).returncode != 0:
            pytest.skip("mounting is not permitted here")
        mounted.append(directory)
        return directory

    yield make
    for directory in mounted:
        subprocess.run(["umount", str(directory)], check=True)


def room(directory: Path) -> int:
    """Returns the bytes of the files below `directory` on a tmpfs, where folders are free."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return sum(PAGE * -(-path.stat().st_size // PAGE) for path in files)


# Waits for a line, then exports to argv[1].
RIVAL = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from vae_tf.cli import app
from tests.bundles import write_bundle
from tests.integration import small_model

parts = small_model.parts()
print("ready", flush=True)
sys.stdin.readline()
sys.exit(app.run(lambda: write_bundle(**parts, directory=sys.argv[1]), ""))
"""


@pytest.mark.slow
def test_of_two_rivals_one_wins(tmp_path):
    target = tmp_path / "bundle"
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    command = [sys.executable, "-c", RIVAL, str(target)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    rivals = [subprocess.Popen(command, **pipes, text=True, env=environment) for _ in range(2)]
    try:
        for rival in rivals:
            assert rival.stdout.readline() == "ready\n"
        for rival in rivals:
            rival.stdin.write("go\n")
            rival.stdin.flush()
        answers = [(*rival.communicate(timeout=300), rival.returncode) for rival in rivals]
    finally:
        for rival in rivals:
            rival.kill()
            rival.wait()
    (_, _, won), (out, err, lost) = sorted(answers, key=lambda answer: answer[2])
    assert (won, lost, out) == (0, 1, "")
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "must not be in use by another export" in lines[0]
    assert "Traceback" not in err
    assert verify_bundle(target).version == 1
    assert not [path.name for path in target.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    "share", [0.0, *(pytest.param(s, marks=pytest.mark.slow) for s in (0.3, 0.6, 0.9, 0.98))]
)
def test_full_disk(bundle, mount, refuses, share):
    size = max(2 * PAGE, int(share * room(bundle.directory)))
    disk = mount(f"size={size}")
    refuses(disk / "new" / "bundle", "must have room for the bundle", "Free some space")
    assert list(disk.iterdir()) == [], "nothing may be left"
    assert shutil.disk_usage(disk).used == 0


@pytest.mark.slow
def test_a_disk_of_few_files(mount, refuses):
    disk = mount("size=50m,nr_inodes=12")
    refuses(disk / "bundle", "must have room for the bundle")
    assert list(disk.iterdir()) == []


@pytest.mark.slow
def test_a_disk_just_large_enough(bundle, parts, mount):
    disk = mount(f"size={int(1.2 * room(bundle.directory)) + 8 * PAGE}")
    write_bundle(**parts, directory=disk / "bundle")
    verify_bundle(disk / "bundle")


def test_read_only_disk(mount, refuses):
    disk = mount("size=1m,ro")
    refuses(disk / "bundle", "must be a directory that can be written", "Read-only file system")


def test_targets_that_are_no_directories(tmp_path, refuses):
    file = tmp_path / "file"
    file.write_text("mine")
    refuses(file, "must be a directory")
    refuses(file / "below", "must be a directory")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    refuses(link, "must be a directory")
    assert file.read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"file", "link"}


@pytest.mark.slow
def test_a_linked_target_with_an_odd_name(parts, tmp_path):
    target, link = tmp_path / "ein Bündel 束 🎲 'a\"b", tmp_path / "ver weis"
    target.mkdir()
    link.symlink_to(target)
    written = write_bundle(**parts, directory=link)
    assert link.is_symlink()
    assert verify_bundle(target).manifest == written.manifest == verify_bundle(link).manifest


@pytest.fixture(scope="module")
def copy(bundle, tmp_path_factory):
    """A bundle to be spoilt; each test puts back what it changes."""
    return shutil.copytree(bundle.directory, tmp_path_factory.mktemp("rotten") / "bundle")


def flips(path: Path, count: int):
    """Yields `count` times with another bit of a file flipped, and puts it back."""
    content, rng = path.read_bytes(), random.Random(0)
    for _ in range(count):
        rotten = bytearray(content)
        rotten[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(rotten)
        try:
            yield
        finally:
            path.write_bytes(content)


def test_a_flipped_bit_of_any_file_is_noticed(copy):
    files = [p for p in copy.rglob("*") if p.is_file() and p.name != "manifest.json"]
    kinds = {path.suffix for path in files}
    assert {".pb", ".index", ".data-00000-of-00001", ".tflite", ".json", ".npz"} <= kinds
    for path in files:
        for _ in flips(path, 3):
            with pytest.raises(ExportError, match="must have sha256") as caught:
                verify_bundle(copy)
            assert path.name in str(caught.value)
    verify_bundle(copy)


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_bytes(b"")])
def test_missing_and_empty_files_are_noticed(copy, damage):
    for path in [p for p in copy.rglob("*") if p.is_file()]:
        content = path.read_bytes()
        damage(path)
        with pytest.raises(ExportError):
            verify_bundle(copy)
        path.write_bytes(content)


def test_a_flipped_bit_of_the_manifest_is_noticed(copy, monkeypatch):
    monkeypatch.setattr(cpp_loader, "run", lambda calls: pytest.fail("passed for sound"))
    for _ in flips(copy / "manifest.json", 100):
        with pytest.raises(ExportError):
            verify_bundle(copy)


class Server:
    """One signature of a bundle in the C++ loader."""

    def __init__(self, runtime, bundle, signature):
        entry = bundle.manifest["signatures"][signature]
        self.specs, self.runtime = entry["inputs"], runtime
        self.of = bundle.directory / entry["saved_model"], signature

    def good(self, rows):
        """Returns an ordinary request."""
        return {
            name: np.full((rows, *spec["shape"][1:]), spec.get("only", 1), spec["dtype"])
            for name, spec in self.specs.items()
        }

    def __call__(self, inputs, headroom=None):
        """Returns the outputs as arrays, or the text of the error."""
        try:
            return self.runtime(*self.of, inputs, headroom)
        except Refused as error:
            return str(error)


@pytest.fixture(scope="module")
def runtime():
    server = CppServer()
    yield server
    server.close()


@pytest.fixture
def serve(bundle, runtime):
    """A function: signature -> Server."""
    return lambda signature: Server(runtime, bundle, signature)


def bad_requests(good):
    """Yields (what is wrong, request) for a request of two rows."""
    for name, x in good.items():
        rest = {key: value for key, value in good.items() if key != name}
        yield f"no {name}", rest
        yield f"rank of {name} + 1", {**good, name: x[np.newaxis]}
        yield f"rank of {name} - 1", {**good, name: x[0]}
        yield f"scalar {name}", {**good, name: x.reshape(-1)[0]}
        if x.ndim > 1:
            yield f"twice the last side of {name}", {**good, name: np.concatenate([x, x], -1)}
            yield f"no last side of {name}", {**good, name: x[..., :0]}
            yield f"flat {name}", {**good, name: x.reshape(-1)}
        for dtype in {"float64", "int64", "int32", "float32", "bool"} - {x.dtype.name}:
            yield f"{dtype} {name}", {**good, name: x.astype(dtype)}
        if rest:
            yield f"one {name} for two rows", {**good, name: x[:1]}
            yield f"four {name} for two rows", {**good, name: np.concatenate([x, x])}
    yield "an input too many", {**good, "more": np.ones(2, np.float32)}


SIGNATURES = ["encode", "decode", "generate"]


@pytest.mark.parametrize("signature", SIGNATURES)
def test_bad_requests_get_an_error_and_harm_nobody(serve, signature):
    server = serve(signature)
    good = server.good(2)
    want = server(good)
    accepted = []
    for wrong, request in bad_requests(good):
        if not isinstance(server(request), str):
            accepted.append(wrong)
        for name, value in server(good).items():
            np.testing.assert_array_equal(value, want[name], err_msg=f"after {wrong}")
    assert accepted == []


@pytest.mark.parametrize("signature", SIGNATURES)
def test_an_empty_batch_is_refused_or_answered_in_shape(serve, signature):
    server = serve(signature)
    answer, others = server(server.good(0)), server(server.good(1))
    if not isinstance(answer, str):
        shapes = {name: (0, *value.shape[1:]) for name, value in others.items()}
        assert {name: value.shape for name, value in answer.items()} == shapes


@pytest.mark.parametrize(
    ("signature", "name"), [("encode", "image"), ("decode", "z"), ("generate", "temperature")]
)
def test_nan_and_infinity_stay_in_their_row(serve, signature, name):
    server = serve(signature)
    good = server.good(4)
    want = server(good)
    spoilt = good[name].copy()
    for row, value in enumerate([np.nan, np.inf, -np.inf]):
        spoilt.reshape(4, -1)[row, 0] = value
    for key, value in server({**good, name: spoilt}).items():
        assert np.isnan(value[:3]).all(), key
        np.testing.assert_array_equal(value[3], want[key][3])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc to ask for memory")
def test_a_batch_that_would_take_the_memory_is_refused_before_it_does(bundle):
    with contextlib.closing(CppServer()) as runtime:
        server = Server(runtime, bundle, "generate")
        want = server(server.good(1))
        answer = server(server.good(1 << 22), headroom=1 << 28)
        assert "A request may have at most 4096 rows" in answer
        np.testing.assert_array_equal(server(server.good(1))["image"], want["image"])
