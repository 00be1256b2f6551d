"""The codec's command, in processes of its own and with what users do wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_tf.cli import codec, train

ROOT = Path(__file__).parents[2]
QUICK = ["--epochs", "1", "--importance-samples", "0", "--hidden", "32", "--latent-dim", "4"]
(BASH,) = re.findall(r"```bash\n(.*?)```", (ROOT / "docs/compression.md").read_text("utf-8"), re.S)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Returns a directory in which the commands of docs/compression.md were called."""
    directory = tmp_path_factory.mktemp("codec")
    x = np.random.default_rng(0).integers(0, 2, (50, 8, 8, 1)).astype("uint8")
    np.save(directory / "digits.npy", x)
    training, *others = [line.split() for line in BASH.strip().splitlines()]
    assert training[:2] == ["python", "train.py"]
    before = Path.cwd()
    os.chdir(directory)
    try:
        assert train.main([*training[2:], *QUICK, "--prior-components", "5"]) == 0
        for command in others:
            assert command[:3] == ["python", "-m", "vae_tf.codec"]
            assert codec.main(command[3:]) == 0
    finally:
        os.chdir(before)
    return directory


@pytest.fixture(scope="module")
def file(run):
    return run / "digits.vaec"


def test_the_page_gives_back_the_same_file(run):
    assert (run / "again.npy").read_bytes() == (run / "digits.npy").read_bytes()


@pytest.mark.parametrize(
    "settings",
    [
        {"TF_NUM_INTRAOP_THREADS": "2", "TF_ENABLE_ONEDNN_OPTS": "0"},
        pytest.param(
            {"TF_NUM_INTRAOP_THREADS": "1", "TF_ENABLE_ONEDNN_OPTS": "1"}, marks=pytest.mark.slow
        ),
    ],
    ids=str,
)
def test_another_process_decodes_the_same(run, file, settings, tmp_path):
    back = tmp_path / "back.npy"
    command = [
        sys.executable,
        "-m",
        "vae_tf.codec",
        "decompress",
        str(run / "runs/digits"),
        str(file),
    ]
    env = {**os.environ, **settings}
    done = subprocess.run(
        [*command, "--output", str(back)], env=env, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "50 examples" in done.stdout
    assert back.read_bytes() == (run / "digits.npy").read_bytes()


def test_a_folder_of_images(run, tmp_path):
    (tmp_path / "images").mkdir()
    for i, image in enumerate(np.load(run / "digits.npy")[:3]):
        Image.fromarray(image[..., 0]).save(tmp_path / "images" / f"{i}.png")
    flags = [str(run / "runs/digits"), str(tmp_path / "images"), "--output", str(tmp_path / "file")]
    assert codec.main(["compress", *flags]) == 0
    flags = [str(run / "runs/digits"), str(tmp_path / "file"), "--output", str(tmp_path / "back")]
    assert codec.main(["decompress", *flags]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "back"), np.load(run / "digits.npy")[:3])


def refused(capsys, *flags):
    """Returns the line with which the command refuses."""
    assert codec.main([str(flag) for flag in flags]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    (line,) = [line for line in lines if line.startswith("error: ")]
    return line


def test_refusals(run, file, tmp_path, capsys):
    new, home = tmp_path / "new", run / "runs/digits"
    cut = tmp_path / "cut"
    cut.write_bytes(file.read_bytes()[:-5])
    assert "whole" in refused(capsys, "decompress", home, cut, "--output", new)
    assert "must be a new file" in refused(capsys, "decompress", home, file, "--output", cut)
    assert "codec wrote" in refused(capsys, "decompress", home, run / "digits.npy", "--output", new)
    assert "No such file" in refused(capsys, "decompress", home, tmp_path / "no", "--output", new)
    assert "config.json" in refused(capsys, "decompress", tmp_path, file, "--output", new)
    assert ".npy" in refused(capsys, "compress", home, file, "--output", new)
    assert ".npy" in refused(capsys, "compress", home, tmp_path / "no.npy", "--output", new)
    np.save(tmp_path / "grey.npy", np.full((1, 8, 8, 1), 0.5, "float32"))
    assert "0 and 1" in refused(capsys, "compress", home, tmp_path / "grey.npy", "--output", new)
    np.save(tmp_path / "none.npy", np.array([None]), allow_pickle=True)
    assert "of numbers" in refused(capsys, "compress", home, tmp_path / "none.npy", "--output", new)
    (tmp_path / "empty").mkdir()
    assert "hold images" in refused(capsys, "compress", home, tmp_path / "empty", "--output", new)
    assert not new.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"cut", "grey.npy", "none.npy", "empty"}


def test_wrong_flags(capsys):
    assert "needs a run" in refused(capsys, "compress", "run")
    assert "Did you mean compress" in refused(capsys, "compres", "run")
    with pytest.raises(SystemExit) as stop:
        codec.main(["compress", "run", "x.npy", "--output", "y", "--chain", "3"])
    assert stop.value.code == 2
    assert "Did you mean --chains" in capsys.readouterr().err
