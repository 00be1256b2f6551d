"""What a bundle may hold: all that its manifest lists, nothing else, whoever wrote the manifest."""

import copy
import json
import os
import random
import shutil
from pathlib import Path

import pytest

from tests.bundles import write_bundle
from vae_tf.cli import export as door
from vae_tf.errors import ExportError, VAEError
from vae_tf.exporting import contents, manifest, publication, verify_bundle
from vae_tf.formats import plain

GOLDEN = Path(__file__).parents[2] / "golden"
SHA = "0" * 64


@pytest.fixture(scope="module")
def two(exported, tmp_path_factory):
    """A bundle of two versions, the second without single files that the first had."""
    directory = shutil.copytree(exported.bundle.directory, tmp_path_factory.mktemp("two") / "b")
    facts = manifest.read(directory)
    del facts["sha256"]
    facts["files"]["serving/old.txt"] = write(directory / "serving/old.txt")
    facts["files"]["older/old.txt"] = write(directory / "older/old.txt")
    manifest.write(directory, facts)
    write_bundle(**exported.parts, directory=directory, version=2)
    return directory


@pytest.fixture
def bundle(two, tmp_path):
    return shutil.copytree(two, tmp_path / "bundle")


def write(path, content="planted"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return manifest.digest(path)


def forge(directory, change):
    """Changes the facts of a manifest and makes its own hash agree."""
    facts = json.loads((directory / "manifest.json").read_text())
    del facts["sha256"]
    change(facts)
    manifest.write(directory, facts)


@pytest.mark.slow
def test_outdated_single_files_go_with_their_version(two):
    contents.check(two)
    assert not (two / "serving/old.txt").exists()
    assert not (two / "older").exists()


STRAYS = [
    *("decoder/3/saved_model.pb", "decoder/03/saved_model.pb", "encoder/9/x", "other/1/x"),
    *("serving/more", "pictures/1/x.png", "stray", ".hidden", "golden/2/extra.npz", "a\nb"),
    *("decoder/1/.staging-1", "web/index.html", "web/files.jso", "decoder/2/manifest.json"),
]


@pytest.mark.parametrize("name", STRAYS)
def test_a_stray_file(bundle, name):
    write(bundle / name)
    with pytest.raises(ExportError, match="as well") as caught:
        contents.check(bundle)
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize("name", ["decoder/3", "vae/4", "empty", "serving/empty"])
def test_a_stray_folder(bundle, name):
    (bundle / name).mkdir(parents=True)
    with pytest.raises(ExportError, match=f"{name.split('/')[0]}.* as well"):
        contents.check(bundle)


def test_what_publication_leaves_is_no_stray(bundle):
    write(bundle / publication.LOCK)
    write(bundle / ".staging-3-77/decoder/3/saved_model.pb")
    write(bundle / ".vae_tf-web-77/new/index.html")
    contents.check(bundle)


def test_links_and_pipes(bundle, tmp_path):
    for name in ("README.md", "decoder/1", "manifest.json"):
        target = bundle / name
        kept = tmp_path / "kept"
        target.rename(kept)
        target.symlink_to(kept)
        with pytest.raises(ExportError, match=f"{name}, which is a link"):
            contents.check(bundle)
        target.unlink()
        kept.rename(target)
    os.mkfifo(bundle / "pipe")
    with pytest.raises(ExportError, match="pipe, which is a link or no file"):
        contents.check(bundle)


def test_a_version_goes_whole_or_not_at_all(bundle):
    shutil.rmtree(bundle / "encoder/1")
    with pytest.raises(ExportError, match="remove every folder called 1"):
        contents.check(bundle)
    shutil.rmtree(bundle / "golden/1")
    (bundle / "decoder/1/saved_model.pb").unlink()
    with pytest.raises(ExportError, match="version 1 must be"):
        contents.check(bundle)
    shutil.rmtree(bundle / "decoder/1")
    contents.check(bundle)
    shutil.rmtree(bundle / "decoder/2")
    with pytest.raises(ExportError, match="no such file"):
        contents.check(bundle)


def test_a_page(bundle):
    names = ["web/index.html", "web/model/model.json", "web/js/a.js"]
    for name in names:
        write(bundle / name)
    contents.check(bundle)  # of a bundle from before pages listed their files
    listed = {name.removeprefix("web/"): manifest.digest(bundle / name) for name in names}
    plain.write_json(bundle / "web/files.json", listed)
    contents.check(bundle)
    write(bundle / "web/js/a.js", "other")
    with pytest.raises(ExportError, match="must have sha256"):
        contents.check(bundle)
    write(bundle / "web/js/a.js")
    write(bundle / "web/js/b.js")
    with pytest.raises(ExportError, match=r"web/js/b.js as well"):
        contents.check(bundle)
    for text in ("[", "{}", '{"../decoder.tflite": {"sha256": "' + SHA + '"}}'):
        (bundle / "web/files.json").write_text(text)
        with pytest.raises(ExportError):
            contents.check(bundle)


CRAFTED = {
    "no files": lambda facts: facts.pop("files"),
    "files empty": lambda facts: facts.update(files={}),
    "files a list": lambda facts: facts.update(files=[]),
    "parity not listed": lambda facts: facts["files"].pop("parity.json"),
    "decoder not listed": lambda facts: facts["files"].pop("decoder/2/saved_model.pb"),
    "absolute": lambda facts: facts["files"].update({"/etc/passwd": {"sha256": SHA}}),
    "up": lambda facts: facts["files"].update({"decoder/../../x": {"sha256": SHA}}),
    "here": lambda facts: facts["files"].update({"./README.md": {"sha256": SHA}}),
    "up in another version": lambda facts: facts["other_versions"]["1"].update(
        {"decoder/1/../../../x": {"sha256": SHA}}
    ),
    "a version of no number": lambda facts: facts["other_versions"].update({"one": {}}),
    "a version of 5000 digits": lambda facts: facts["other_versions"].update({"9" * 5000: {}}),
    "a third version among the files": lambda facts: facts["files"].update(
        {"decoder/3/x": {"sha256": SHA}}
    ),
    "a sha256 of another form": lambda facts: facts["files"]["README.md"].update(sha256=None),
    "version True": lambda facts: facts.update(version=True),
    "version huge": lambda facts: facts.update(version=10**30),
    "format True": lambda facts: facts.update(format_version=True),
    "format a list": lambda facts: facts.update(format_version=[[[]]]),
    "no signatures": lambda facts: facts.update(signatures={}),
    "a signature that is a path": lambda facts: facts["signatures"].update(
        {"../decode": facts["signatures"]["decode"]}
    ),
    "a SavedModel elsewhere": lambda facts: facts["signatures"]["decode"].update(
        saved_model="../decoder/2"
    ),
    "a SavedModel that is a list": lambda facts: facts["signatures"]["decode"].update(
        saved_model=["decoder/2"]
    ),
    "a LiteRT file elsewhere": lambda facts: facts["signatures"]["decode"].update(litert="/x"),
    "a LiteRT file that is an object": lambda facts: facts["signatures"]["decode"].update(
        litert={"decoder.tflite": 1}
    ),
    "a dtype of no name": lambda facts: facts["signatures"]["decode"]["inputs"]["z"].update(
        dtype={}
    ),
    "a shape too large": lambda facts: facts["signatures"]["decode"]["inputs"]["z"].update(
        shape=[None, 10**9, 10**9]
    ),
    "a range beyond the dtype": lambda facts: facts["signatures"]["generate"]["inputs"][
        "seed"
    ].update(range=[0, 1e30]),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_manifest(bundle, name, capsys):
    forge(bundle, CRAFTED[name])
    assert door.main(["--verify", str(bundle)]) == 1
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1), error
    assert error.startswith("error: ")
    assert len(error) < 1000


DAMAGED = {
    "nothing": b"",
    "no JSON": b"[1, 2",
    "not UTF-8": b'{"format_version": 2, "\xff": 1}',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep in an object": b'{"format_version": 1, "files": ' + b'{"a":' * 50_000,
    "a number": b"2",
    "null": b"null",
    "NaN": b'{"format_version": NaN}',
    "beyond float64": b'{"format_version": 1e999}',
    "5000 digits": b'{"format_version": ' + b"9" * 5000 + b"}",
    "a key twice": b'{"format_version": 1, "format_version": 2}',
    "a lone surrogate": rb'{"format_version": "\ud800"}',
    "no format": b'{"version": 1}',
    "format 3": b'{"format_version": 3}',
    "format 1 and nothing else": b'{"format_version": 1}',
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_manifest(bundle, name, capsys):
    (bundle / "manifest.json").write_bytes(DAMAGED[name])
    assert door.main(["--verify", str(bundle)]) == 1
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1), error


def test_a_key_twice_in_a_manifest_of_the_first_format(tmp_path):
    bundle = shutil.copytree(GOLDEN / "format_1", tmp_path / "bundle")
    path = bundle / "manifest.json"
    path.write_text(path.read_text().replace('"version": 1,', '"version": 1, "version": 1,'))
    with pytest.raises(ExportError, match="twice"):
        verify_bundle(bundle)


VALUES = [
    *(None, True, False, 0, -1, 1, 2**63, 1e308, "", "x", "../x", "/", "\x00", "\ud800"),
    *([], [[]], {}, {"": {}}, [None], [None, -1], [None, 1.5], "float64", "string", "1"),
]


def mutated(facts, rng):
    """Returns a copy in which a few entries, at any depth, are others, gone or elsewhere."""
    facts = copy.deepcopy(facts)
    for _ in range(rng.randint(1, 3)):
        at, keys = facts, []
        while isinstance(at, dict | list) and at and (not keys or rng.random() < 0.8):
            key = rng.choice(sorted(at)) if isinstance(at, dict) else rng.randrange(len(at))
            keys.append((at, key))
            at = at[key]
        holder, key = keys[-1]
        kind = rng.randrange(4)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[rng.choice(["", "..", "decoder/7/x", "\n", str(key).upper()])] = holder.pop(key)
        elif kind == 2:
            source = rng.choice(keys)
            holder[key] = copy.deepcopy(source[0])
        else:
            holder[key] = rng.choice(VALUES)
    return facts


@pytest.mark.parametrize("name", ["format_1", "format_2", "two"])
def test_mutated_manifests_end_in_one_line(name, two, tmp_path):
    bundle = shutil.copytree(two if name == "two" else GOLDEN / name, tmp_path / "bundle")
    facts, rng = json.loads((bundle / "manifest.json").read_text()), random.Random(name)
    facts.pop("sha256", None)
    refused, accepted = [], []
    for _ in range(400):
        changed = mutated(facts, rng)
        text = json.dumps(changed, indent=2) + "\n"
        last = manifest._last_entry(text)
        (bundle / "manifest.json").write_text(text.removesuffix(manifest.END) + last)
        try:
            accepted.append(contents.check(bundle))
        except VAEError as error:
            refused.append(str(error))
    assert not [text for text in refused if not text.isprintable()]
    assert len(refused) > 100
    assert len(accepted) > 20
    for found in accepted:  # what other modules take for granted
        assert set(found["files"]) >= {"parity.json"}
        for signature in found["signatures"].values():
            assert (bundle / signature["saved_model"] / "saved_model.pb").is_file()
            assert signature["litert"] is None or (bundle / signature["litert"]).is_file()


def test_flipped_bytes_of_a_manifest_without_a_hash(tmp_path):
    bundle = shutil.copytree(GOLDEN / "format_1", tmp_path / "bundle")
    content, rng = (bundle / "manifest.json").read_bytes(), random.Random(0)
    refused = []
    for _ in range(300):
        rotten = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            rotten[rng.randrange(len(rotten))] = rng.choice(b'\x00"[]{},:-e\\\n9\xff')
        (bundle / "manifest.json").write_bytes(rotten)
        try:
            contents.check(bundle)
        except VAEError as error:
            refused.append(str(error))
    assert not [text for text in refused if not text.isprintable()]
    assert len(refused) > 100
