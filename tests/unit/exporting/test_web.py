"""The explorer's folder: what is in it, and what is left when it cannot be written."""

import base64
import gzip
import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from vae_tf.errors import ExportError
from vae_tf.exporting.web import conditions
from vae_tf.exporting.web import folder as web
from vae_tf.exporting.web import model as web_model
from vae_tf.exporting.web.folder import write_web
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert import variants

ROOT = Path(__file__).parents[3]


def install(node_modules, version=web.RUNTIME[1]):
    """Makes what `npm ci` would, with next to nothing in the files."""
    for name in web.RUNTIME_FILES:
        path = node_modules / "@litertjs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"version": version}))
    return node_modules


@pytest.fixture
def runtime(tmp_path):
    return install(tmp_path / "node_modules")


def tree(directory):
    return {
        p.relative_to(directory).as_posix(): p.read_bytes()
        for p in directory.rglob("*")
        if p.is_file()
    }


def test_folder_has_page_runtime_and_models(exported, runtime, tmp_path):
    index = write_web(exported.bundle.directory, tmp_path / "site/page", runtime=runtime)
    assert index == tmp_path / "site/page/index.html"
    names = set(tree(index.parent))
    assert names >= {p.relative_to(web.PAGE).as_posix() for p in web.PAGE.rglob("*.*")}
    assert names >= {f"litert/{name}" for name in web.RUNTIME_FILES.values()}
    assert os.listdir(tmp_path / "site") == ["page"]
    content = json.loads((index.parent / "model/model.json").read_text())
    assert content["image"] == {"shape": [6, 5, 1], "range": [0, 1], "dtype": "float32"}
    assert set(content["models"]) == {"decoder", "grid", "encoder"}
    for model in content["models"].values():
        file = index.parent / "model" / model["file"]
        assert model["bytes"] == file.stat().st_size
        assert litert.signatures(file.read_bytes()) == sorted(model["signatures"])
        assert not any(model["signatures"].values())  # conditions
    assert content["conditions"] == []
    assert content["columns"] is None
    latent = content["latent"]
    stderr = 1 / np.sqrt(web_model.DRAWS)
    assert np.allclose(latent["centre"], 0, atol=4 * stderr)  # the prior is N(0, I)
    assert np.allclose(latent["high"], web_model.REACH, atol=8 * stderr)
    assert np.allclose(latent["low"], -web_model.REACH, atol=8 * stderr)
    assert sorted(latent["order"]) == [0, 1, 2]


def test_webassembly_is_compressed_the_same_each_time(exported, runtime, tmp_path, no_models):
    page = tmp_path / "page"
    packed, once = {}, None
    for _ in range(2):
        write_web(exported.bundle.directory, page, runtime=runtime)
        packed = {n: b for n, b in tree(page).items() if n.endswith(".wasm.gz")}
        assert once in (None, packed)
        once = packed
    assert len(packed) == 2
    for name, content in packed.items():
        source = runtime / "@litertjs/core/wasm" / Path(name).stem
        assert gzip.decompress(content) == source.read_bytes()


def test_a_condition_of_too_many_numbers_is_refused(exported, tmp_path):
    facts = json.loads(json.dumps(exported.bundle.manifest))
    spec = {"shape": [None, 7, 5], "dtype": "float32", "role": "condition"}
    facts["signatures"]["encode"]["inputs"]["sketch"] = spec
    assert conditions.among(facts, "decode") == []
    with pytest.raises(ExportError, match=r"at most 32 numbers.*sketch \[7, 5\]"):
        web_model.write(exported.bundle.directory, facts, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_conditions_begin_with_zeros_and_classes_have_words(exported):
    facts = json.loads(json.dumps(exported.bundle.manifest))
    facts["signatures"]["decode"]["inputs"] |= {
        "digit": {"shape": [None], "dtype": "int32", "role": "condition", "range": [0.0, 2.0]},
        "ink": {"shape": [None, 2], "dtype": "float32", "role": "condition"},
    }
    example = conditions.example(facts, "decode", 4)
    assert example["digit"].tolist() == [0, 0, 0, 0]
    assert example["digit"].dtype == np.int32
    assert np.array_equal(example["ink"], np.zeros((4, 2)))
    facts["provenance"]["data"] = {"label_names": ["cat", "dog", "cow"]}
    digit, ink = conditions.among(facts, "decode")
    assert digit["words"] == ["cat", "dog", "cow"]
    assert ink["words"] is None


def test_files_are_named_without_their_place(exported):
    facts = {"provenance": {"data": {"name": "table:/home/me/wine.csv"}}}
    assert web_model._name(facts) == "wine"
    assert web_model._name({"provenance": {"data": {"name": "mnist/3.0.1"}}}) == "mnist/3.0.1"


def test_latents_are_ordered_by_what_they_change(monkeypatch):
    def run(_, signature, batches):
        assert signature == "decode"
        weight = np.float32([0.1, 3.0, -2.0])
        return [{"image": (batch["z"] * weight)[:, None, :, None]} for batch in batches]

    monkeypatch.setattr(web_model.saved_model, "run", run)
    assert web_model._by_influence(Path(), np.zeros(3), np.ones(3), {}) == [1, 2, 0]


def test_variants_of_the_bundle_are_taken(exported, runtime, tmp_path):
    bundle = tmp_path / "bundle"
    (bundle / "litert/1").mkdir(parents=True)
    for name in ("manifest.json", "decoder"):
        (bundle / name).symlink_to(exported.bundle.directory / name)
    content = exported.bundle.decoder_tflite.read_bytes()
    for parts in web_model.MODELS.values():
        (bundle / "litert/1" / variants.file_name(*parts)).write_bytes(content)
    index = write_web(bundle, tmp_path / "page", runtime=runtime)
    models = json.loads((index.parent / "model/model.json").read_text())["models"]
    assert set(models) == set(web_model.MODELS)
    for model in models.values():
        assert (index.parent / "model" / model["file"]).read_bytes() == content
        assert {"decode", "generate"} <= set(model["signatures"])


@pytest.fixture
def no_models(monkeypatch):
    """Leaves out the work that does not matter to publication."""

    def write(bundle, facts, directory):
        directory.mkdir()
        (directory / web_model.NAME).write_text("{}")

    monkeypatch.setattr(web_model, "write", write)


def test_an_explorer_is_replaced_and_nothing_else(exported, runtime, tmp_path, no_models):
    page = tmp_path / "page"
    page.mkdir()
    write_web(exported.bundle.directory, page, runtime=runtime)  # an empty one may be filled
    (page / "stale.js").touch()
    (tmp_path / ".vae_tf-web-7").mkdir()  # of a process that was killed
    write_web(exported.bundle.directory, page, runtime=runtime)
    assert not (page / "stale.js").exists()
    assert sorted(os.listdir(tmp_path)) == ["node_modules", "page"]
    for other in ("file", "folder"):
        path = tmp_path / other
        if other == "file":
            path.write_text("mine")
        else:
            path.mkdir()
            (path / "index.html").write_text("mine")
        with pytest.raises(ExportError, match="must be new, empty or an explorer"):
            write_web(exported.bundle.directory, path, runtime=runtime)
    assert (tmp_path / "file").read_text() == (tmp_path / "folder/index.html").read_text() == "mine"


@pytest.mark.parametrize("moment", ["models", "last rename"])
def test_a_failure_leaves_the_old_page(exported, runtime, tmp_path, monkeypatch, moment, no_models):
    page = tmp_path / "page"
    write_web(exported.bundle.directory, page, runtime=runtime)
    before = tree(page)
    real = os.rename

    def rename(source, target):
        if Path(source).name == "new":
            raise OSError(28, "No space left on device")
        real(source, target)

    def write(*_):
        raise OSError(28, "No space left on device")

    if moment == "models":
        monkeypatch.setattr(web_model, "write", write)
    else:
        monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(ExportError, match="No space left"):
        write_web(exported.bundle.directory, page, runtime=runtime)
    assert tree(page) == before
    assert sorted(os.listdir(tmp_path)) == ["node_modules", "page"]


def test_without_litert_js_it_says_what_to_run(exported, tmp_path, monkeypatch, no_models):
    bundle, page = exported.bundle.directory, tmp_path / "page"
    with pytest.raises(ExportError, match=r"npm install @litertjs/core@2\.5\.3"):
        write_web(bundle, page, runtime=tmp_path / "nowhere")
    other = install(tmp_path / "other", version="2.0.0")
    with pytest.raises(ExportError, match=r"version 2\.0\.0\. Run `npm install"):
        write_web(bundle, page, runtime=other)
    # Without a clone, what `npm install` put in the working directory is found.
    monkeypatch.setattr(web, "CLONE", tmp_path / "no clone")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExportError, match="npm install"):
        write_web(bundle, page)
    assert not page.exists()
    install(tmp_path / "node_modules")
    assert write_web(bundle, page).is_file()
    monkeypatch.setattr(web, "CLONE", ROOT / "export/web")
    monkeypatch.setattr(web, "RUNTIME", ("@litertjs/core", "0"))
    with pytest.raises(ExportError, match="npm ci --prefix"):
        write_web(bundle, page)


def test_a_directory_that_is_no_bundle_is_refused(runtime, tmp_path):
    with pytest.raises(ExportError, match="manifest"):
        write_web(tmp_path, tmp_path / "page", runtime=runtime)


def test_pins_are_one_and_name_no_registry():
    package, lock = (
        json.loads((ROOT / "export/web" / name).read_text())
        for name in ("package.json", "package-lock.json")
    )
    name, version = web.RUNTIME
    assert package["dependencies"] == {name: version}
    assert lock["packages"][f"node_modules/{name}"]["version"] == version
    assert "http" not in json.dumps(lock)


def test_page_allows_its_import_map_and_nothing_from_elsewhere():
    html = (web.PAGE / "index.html").read_text("utf-8")
    (inline,) = re.findall(r'<script type="importmap">(.*?)</script>', html, re.S)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert "default-src 'self'" in policy
    assert f"'sha256-{digest}'" in policy
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy
    for path in web.PAGE.rglob("*.*"):
        addresses = re.findall(r"https?://[\w.]+", path.read_text("utf-8"))
        assert set(addresses) <= {"http://localhost", "http://www.w3.org"}, path
