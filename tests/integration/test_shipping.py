"""docs/shipping.md, command by command and snippet by snippet."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/shipping.md").read_text("utf-8")
TRAINING = "python train.py --recipe demo --run-dir runs/digits"
QUICK = ["--epochs", "2", "--hidden", "32", "--latent-dim", "3", "--importance-samples", "2"]
# Later versions have the files that their lines of the page are about, and few others
LATER = {
    "--version 2": "--only savedmodel",
    "--web": "--litert float32",
    "--onnx": "--litert float32",
}
CLIENTS = re.compile(r"(localhost[: ])(8500|8501)$")
TOOLS = {"make": ("g++", "make"), "npm": ("npm",), "--web": ("npm",), "predict": ("g++", "make")}

pytestmark = pytest.mark.slow  # four exports and a compiler


def commands():
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.S)
    return [line for block in blocks for line in block.splitlines() if line]


def missing(command):
    """Returns a tool that a command needs and this machine lacks, if any."""
    tools = [tool for word, needs in TOOLS.items() if word in command for tool in needs]
    return next((tool for tool in tools if shutil.which(tool) is None), None)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A directory with the doors of a clone."""
    home = tmp_path_factory.mktemp("clone")
    (home / "export").mkdir()
    for name in ("train.py", "vae_tf", "export/__main__.py"):
        (home / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "export/serving", home / "export/serving")
    web = shutil.ignore_patterns("node_modules")
    shutil.copytree(ROOT / "export/web", home / "export/web", ignore=web)
    return home


@pytest.fixture(scope="module")
def servers(home):
    """Returns a function: gRPC's or REST's port -> the port of a stand-in for TF Serving."""
    pytest.importorskip("tensorflow_serving", reason="the stand-ins speak its protocol")
    from .serving_standin import Models, Runtime, grpc_server, rest_server

    runtime = Runtime()
    bundle = home / "artefacts/digits"
    models = Models((bundle / "serving/models.config").read_text(), bundle, runtime)
    with grpc_server(models) as grpc, rest_server(models) as rest:
        yield {"8500": grpc, "8501": rest}
    runtime.close()


def run(command, home):
    command = re.sub(r"^python ", f"{sys.executable} ", command)
    # The runtime of the page is looked for in the clone that vae_tf is imported from, or here
    command = command.replace("npm ci --prefix export/web", "npm ci --prefix .")
    command = command.replace(
        "make -C export/serving", f"make -C export/serving PYTHON={sys.executable}"
    )
    env = {**os.environ, "PYTHONPATH": str(home), "no_proxy": "*"}
    done = subprocess.run(command.split(), cwd=home, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_commands(home, request):
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(ROOT / "export/web" / name, home)
    assert commands()[0] == TRAINING
    said, skipped = {}, []
    for command in commands():
        if tool := missing(command):
            skipped.append(f"{command}: no {tool}")
            continue
        ready = command
        if command == TRAINING:
            ready = " ".join([command, *QUICK])
        elif flags := next((f for part, f in LATER.items() if part in command), None):
            ready = f"{command} {flags}"
        elif client := CLIENTS.search(command):
            port = request.getfixturevalue("servers")[client[2]]
            ready = CLIENTS.sub(rf"\g<1>{port}", command)
        said[command] = run(ready, home)
    bundle = home / "artefacts/digits"
    assert "run as they did" in said["python -m export --verify artefacts/digits"]
    assert {p.name for p in (bundle / "decoder").iterdir()} >= {"1", "2"}
    for name in ("serving/rest_client.py localhost 8501", "serving/grpc_client.py localhost 8500"):
        answer = said[f"python artefacts/digits/{name}"]
        for signature in ("encode", "sample", "decode", "generate", "score", "reconstruct"):
            assert signature in answer
    if not skipped:
        assert (bundle / "web/index.html").is_file()
        assert (
            '"image"'
            in said[
                "export/serving/predict artefacts/digits/decoder/1 generate seed=7 temperature=1"
            ]
        )
    run(f"python -m export --verify {bundle}", home)
    if skipped:
        pytest.skip("; ".join(skipped))


def test_snippets(tmp_path):
    snippets = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    script = tmp_path / "page.py"
    script.write_text("\n".join(snippets) + "\nassert image.shape == (1, 8, 8, 1)\n")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "True  True  True" in done.stdout  # the negatives are unusual
