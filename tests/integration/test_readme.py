"""The snippets and commands of README and docs, run as they stand or nearly so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vae_tf.cli import train

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
OWN_DATA = (ROOT / "docs/own_data.md").read_text("utf-8")
BASH = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README + OWN_DATA, re.S)
    for line in (raw.split("  #")[0].strip() for raw in block.splitlines())
    if line and not line.startswith("#")
]
QUICK = ["--epochs", "1", "--importance-samples", "2", "--prior-components", "5"]
# How each command is run here: what is added to it, and the data set it needs if any. A command
# that a page gains and this table does not fails `test_every_command_is_known`.
TRAIN = {
    "python train.py --dataset binarized_mnist": "binarized_mnist",
    "python train.py --recipe manifold": "mnist",
    "python train.py --dataset mnist --condition label": "mnist",
    "python train.py --dataset folder:photos --image-size 64 64": None,
    "python train.py --dataset array:faces.npy": None,
    "python train.py --dataset array:faces.npy --run-dir runs/faces": None,
    "python train.py --dataset table:wine.csv": None,
}
PAGES = (
    *("compression", "conditional", "hierarchical", "keras", "missing_data", "networks"),
    *("own_data", "profiling", "results", "semi_supervised", "sequences", "tables", "your_own"),
    # The other pages with Python are executed in `make docs`
    *("first_steps", "latent_space"),
)
FIGURES = ("conditional", "hierarchical", "networks", "results")
# Texts are exported in full by test_sequence_run
SAVED_MODEL = 'options=vae_tf.exporting.Options(only="savedmodel")'
QUICKER = {"texts=texts)": f"texts=texts, {SAVED_MODEL})"}
ELSEWHERE = {
    "make demo": "test_make_demo below",
    "make test": "this very run",
    "python -m export runs/faces --output artefacts/faces": "after its training, below",
    "python -m export --verify artefacts/faces": "after that",
    "tensorboard --logdir runs": "a server; the logs it reads are asserted in test_resume",
}


def test_every_command_is_known():
    assert BASH
    assert set(BASH) == set(TRAIN) | set(ELSEWHERE)
    start = (ROOT / "docs/start.md").read_text("utf-8")
    commands = re.findall(r"^vae-tf-train (.+)$", start, re.M)
    assert commands
    assert {f"python train.py {flags}" for flags in commands} <= set(TRAIN)


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        *(pytest.param(f"docs/{page}.md", marks=pytest.mark.slow) for page in PAGES),
    ],
)
def test_snippets_run_in_order(page, tmp_path):
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.S)
    assert snippets
    script = tmp_path / "page.py"
    text = "\n".join(snippets)
    for line, quicker in QUICKER.items():
        text = text.replace(line, quicker)
    script.write_text(text)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def own_data(directory):
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_wine

    rng = np.random.default_rng(0)
    (directory / "photos").mkdir()
    for i in range(40):
        size = tuple(rng.integers(20, 60, 2))
        pixels = rng.integers(0, 256, (*size, 3), dtype="uint8")
        Image.fromarray(pixels).save(directory / "photos" / f"{i}.jpg")
    load_wine(as_frame=True).frame.to_csv(directory / "wine.csv", index=False)
    np.save(directory / "faces.npy", rng.integers(0, 256, (60, 28, 20), dtype="uint8"))


def run(command, directory):
    command = command.replace("python -m", f"{sys.executable} -m")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command.split(), cwd=directory, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.mark.parametrize(
    "command",
    # An epoch of MNIST takes its time, and so does an export; a folder goes the way of an array
    [
        pytest.param(
            c, marks=pytest.mark.slow if TRAIN[c] or "runs/" in c or "folder:" in c else ()
        )
        for c in TRAIN
    ],
)
def test_training_commands(command, tmp_path, monkeypatch, capfd):
    data = TRAIN[command]
    if data and not (Path(os.environ.get("TFDS_DATA_DIR", "nowhere")) / data).exists():
        pytest.skip(f"{data} is not under TFDS_DATA_DIR")
    own_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    program, *flags = command.removeprefix("python ").split()
    assert program == "train.py"
    # In this process: train.py itself is run by test_command_line and test_make_demo
    assert train.main([*flags, *QUICK]) == 0
    given = " given the label" if "--condition label" in command else ""
    assert f"NLL{given}, 2 importance samples" in capfd.readouterr().out
    if "runs/faces" in command:
        run("python -m export runs/faces --output artefacts/faces", tmp_path)
        run("python -m export --verify artefacts/faces", tmp_path)
        assert (tmp_path / "artefacts/faces/decoder/1/saved_model.pb").exists()


def test_pictures_exist():
    for page in ("README.md", "docs/own_data.md", "docs/results.md"):
        pictures = re.findall(r"!\[.*?\]\((.*?)\)", (ROOT / page).read_text("utf-8"))
        assert pictures
        for picture in pictures:
            assert ((ROOT / page).parent / picture).stat().st_size > 1000


@pytest.mark.parametrize(
    "page",
    [
        *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
        *("tests/README.md", "examples/README.md"),
        *(f"docs/{p}.md" for p in (*PAGES, "architecture", "versions")),
    ],
)
def test_links_and_pictures_lead_somewhere(page):
    links = re.findall(r"\]\(((?!http)[^)#]+)\)", (ROOT / page).read_text("utf-8"))
    assert links or page != "README.md"
    for link in links:
        assert ((ROOT / page).parent / link).exists(), link


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        *(f"docs/{p}.md" for p in ("conditional", "hierarchical", "networks", "results")),
    ],
)
def test_figures_are_the_measured_ones(page):
    """Every number a page gives from a result stands in that result, rounded as written."""
    import json

    figure = r"(-?[\d.]+)<!-- ([\w/]+\.json):([\w.]+)(?: /(-?[\d.]+))? -->"
    found = re.findall(figure, (ROOT / page).read_text("utf-8"))
    assert found
    for written, file, key, divisor in found:
        value = json.loads((ROOT / "benchmarks/results" / file).read_text())
        for part in key.split("."):
            value = value[int(part) if isinstance(value, list) else part]
        value = value / float(divisor or 1)
        digits = len(written.partition(".")[2])
        assert f"{value:.{digits}f}" == written, (file, key)


def test_the_table_of_imputation_errors_is_the_measured_one():
    import json

    lines = json.loads((ROOT / "benchmarks/results/imputation.json").read_text())
    page = (ROOT / "docs/missing_data.md").read_text("utf-8")
    rows = {row.split(" | ")[0]: row for row in page.splitlines() if row.startswith("| ")}
    errors = [line for line in lines if line["metric"] in ("rmse", "nll")]
    assert len(errors) == 5 * (len(rows) - 1)  # two tables with headings that begin alike
    for line in errors:
        row = rows[f"| {line['data']}" + (", NLL" if line["metric"] == "nll" else "")]
        assert f"{line['value']:.4f} ± {line['stderr']:.4f}" in row
    for line in (line for line in lines if line["metric"].startswith("coverage")):
        assert f"{line['value']:.1%} ± {line['stderr']:.1%}" in rows[f"| {line['data']}"]


def test_the_table_of_baselines_is_the_measured_one():
    import json

    page = (ROOT / "docs/results.md").read_text("utf-8")
    lines = json.loads((ROOT / "benchmarks/results/baselines.json").read_text())
    assert len(lines) == len(re.findall(r"^\| (?:heights|houses|digits) \|", page, re.M))
    for line in lines:
        start = f"| {line['data']} | {line['model']} | "
        assert f"{start}{line['value']:.3f} ± {line['stderr']:.3f} |" in page


@pytest.mark.parametrize("name", ["representation", "disentanglement"])
def test_tables_of_several_seeds_are_the_measured_ones(name, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")  # which the benchmarks set
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "1")
    import importlib
    import json

    path = ROOT / f"benchmarks/results/{name}.json"
    lines = json.loads(path.read_text()) if path.exists() else []
    page = (ROOT / "docs/results.md").read_text("utf-8")
    begin = f"<!-- benchmarks/{name}.py writes this -->"
    written = page.partition(begin)[2].partition("<!-- to here -->")[0].splitlines()[3:]
    columns = importlib.import_module(name).COLUMNS
    keys = ("dimensions", "method") if name == "representation" else ("method",)
    cases = {tuple(str(line[key]) for key in keys) for line in lines}
    assert len(written) == len(cases)
    for row in written:
        case, (seeds, *cells) = np.split(row.strip("| ").split(" | "), [len(keys)])
        own = [
            line
            for line in lines
            if all(str(line[k]) == c for k, c in zip(keys, case, strict=True))
        ]
        assert len(own) == int(seeds)
        for key, cell in zip(columns, cells, strict=True):
            mean, least, most = re.fullmatch(r"(\S+) \((\S+) to (\S+)\)", cell).groups()
            values = [line[key] for line in own]
            digits = len(mean.partition(".")[2])
            found = (sum(values) / len(values), min(values), max(values))
            assert [f"{v:.{digits}f}" for v in found] == [mean, least, most], (case, key)


def test_the_table_of_defaults_is_the_measured_one():
    import json

    lines = json.loads((ROOT / "benchmarks/results/defaults.json").read_text())
    found = {(x["data"], x["method"], x["metric"]): x["value"] for x in lines}
    row = r"^\|[^|]+\|[^|]+<!-- (\w+): ([^>]+) --> \| (-?[\d,]+) \| (-?[\d,]+) \| ([\d.]+) \|$"
    written = re.findall(row, OWN_DATA, re.M)
    assert len(written) == len({line[:2] for line in found})
    for data, method, validation, test, minutes in written:
        assert f"{found[data, method, 'validation_elbo']:,.0f}" == validation, (data, method)
        assert f"{found[data, method, 'test_elbo']:,.0f}" == test, (data, method)
        assert f"{found[data, method, 'train_seconds'] / 60:.1f}" == minutes, (data, method)


def test_the_table_of_likelihoods_is_the_measured_one():
    import json

    lines = json.loads((ROOT / "benchmarks/results/tables.json").read_text())
    found = {(line["data"], line["method"]): line for line in lines}
    page = (ROOT / "docs/tables.md").read_text("utf-8")
    cell = r" (-?[\d.]+) ± ([\d.]+) \|"
    written = re.findall(rf"^\| ([\w ]+) \|{3 * cell}$", page, re.M)
    assert len(written) == len({data for data, _ in found})
    for name, *numbers in written:
        data = name.removeprefix("known ").replace(" ", "_")
        methods = "vae", "gaussian", "vae - gaussian"
        own = [found[data, method][key] for method in methods for key in ("value", "stderr")]
        for number, value in zip(numbers, own, strict=True):
            assert f"{value:.{len(number.partition('.')[2])}f}" == number, (name, number)
    assert f"an entropy of {found['mixture', 'truth']['value']:.2f} nats" in page


@pytest.mark.slow
def test_make_demo(tmp_path):
    """`make demo` on a copy of the committed tree, with this environment as its `.venv`."""
    environment = Path(sys.prefix)
    if environment.name != ".venv":
        pytest.skip("not running from a .venv that scripts/install made")
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.split("\0")
    for name in filter(None, files):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
        target.chmod((ROOT / name).stat().st_mode)
    (tmp_path / ".venv").symlink_to(environment)
    stamp = environment / ".installed-dev"
    (tmp_path / "scripts/install").write_text("#!/bin/sh\n")  # installed already
    assert stamp.exists()
    done = subprocess.run(["make", "demo"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for text in ("ELBO", "importance samples", "±", "model.keras", "decoder.tflite"):
        assert text in done.stdout
    for part in ("encoder/1", "decoder/1", "encoder.tflite", "decoder.tflite", "manifest.json"):
        assert (tmp_path / "artefacts/demo" / part).exists()
