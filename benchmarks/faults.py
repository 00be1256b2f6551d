"""Processes that are killed at random moments and started again, and disks that fill up.

`python benchmarks/faults.py PART N` does N such things more. After each run that has ended it adds
to results/faults.json what came of it, so a campaign goes on where an earlier one stopped.
`python benchmarks/faults.py page` writes the table of docs/scale.md. The parts:

| part | what happens |
|---|---|
| train | SIGKILL of a training, which is then started again with `--resume` |
| stream | the same, of a training on TFRecord shards |
| export | SIGKILL of an export, which is then called again |
| workers | SIGKILL of one of two workers; `scripts/launch` starts both again |
| disk | a training whose disk is full from one of its writes on, then empty; it is resumed |
| disk-export | the same, of an export |
| bulk | SIGKILL of a bulk job, which is then called again |
| bulk-worker | SIGKILL of one of the two processes of a bulk job |

`bulk` and `bulk-worker` need Beam: call this by the Python of `.venv-beam`. `disk` needs root, for
a small file system of its own. What is finished is compared with what an undisturbed process made:
weights and report of a training, golden vectors and `--verify` of a bundle, sha256 of shards.
Nothing else intervenes. kills.py says how a kill is done.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import common
import kills
import numpy as np
from kills import ROOT, Call, Case

NAME, PATH = "faults", common.RESULTS / "faults.json"
FLAGS = ["--recipe", "demo", "--deterministic", "--epochs", "4", "--importance-samples", "20"]
FLAGS += ["--hidden", "16", "--latent-dim", "2", "--prior", "normal"]
Command = Callable[[Path], Call | list[str]]


def training(*more: str) -> Command:
    """Returns the command of a training that goes on if there is one."""
    flags = [*FLAGS, *more, "--resume", "--run-dir"]
    return lambda place: Call("vae_tf.cli.train", [*flags, str(place / "run")])


def same_run(one: Path, other: Path) -> bool:
    """Returns whether two runs have the weights and the report of each other."""
    import keras

    import vae_tf

    assert vae_tf
    models = [keras.models.load_model(place / "run/model.keras") for place in (one, other)]
    weights = zip(*(model.get_weights() for model in models), strict=True)
    reports = [json.loads((place / "run/report.json").read_text()) for place in (one, other)]
    return all(np.array_equal(a, b) for a, b in weights) and all(
        reports[0][key] == reports[1][key] for key in ("test", "epochs")
    )


def verifying(place: Path) -> Call:
    """Returns the command that verifies a bundle."""
    return Call("vae_tf.cli.export", ["--verify", str(place / "bundle")])


def same_bundle(one: Path, other: Path) -> bool:
    """Returns whether a bundle verifies, and its golden vectors are those of another."""
    if kills.started(verifying(one), one).wait():
        return False
    files = [sorted((place / "bundle/golden").rglob("*.npz")) for place in (one, other)]
    if [file.name for file in files[0]] != [file.name for file in files[1]]:
        return False
    for a, b in zip(*files, strict=True):
        with np.load(a) as first, np.load(b) as second:
            if not all(np.array_equal(first[k], second[k], equal_nan=True) for k in first.files):
                return False
    return bool(files[0])


def same_shards(one: Path, other: Path) -> bool:
    """Returns whether the outputs of two bulk jobs have the same shards, byte by byte."""
    sums = []
    for place in (one, other):
        found = sorted((place / "out").rglob("shard-*"))
        sums.append([(f.name, hashlib.sha256(f.read_bytes()).hexdigest()) for f in found])
        assert not (place / "out/.job").exists()
    return bool(sums[0]) and sums[0] == sums[1]


def shards(home: Path) -> list[str]:
    """Returns the flags of a training on shards of the digits."""
    import tensorflow as tf

    import vae_tf

    split = vae_tf.data.load("digits").train
    (home / "shards").mkdir()
    for number, rows in enumerate(np.array_split(split.rows, 5)):
        with tf.io.TFRecordWriter(str(home / f"shards/{number}.tfrecord")) as file:
            for row in rows:
                made = tf.train.Example()
                pixels = split.stored[row].ravel().tolist()
                made.features.feature["image"].int64_list.value.extend(pixels)
                file.write(made.SerializeToString())
    return ["--dataset", f"tfrecord:{home / 'shards'}", "--image-size", "8", "8"]


def exporting(home: Path) -> Command:
    """Returns the command of an export of a run that it makes first."""
    kills.whole(Case("", training("--epochs", "2"), same_run), home / "trained")
    flags = [str(home / "trained/run"), "--only", "savedmodel", "--no-whole", "--output"]

    def command(place: Path) -> Call:
        if (place / "bundle/manifest.json").exists():  # the kill came after publication
            return verifying(place)
        return Call("vae_tf.cli.export", [*flags, str(place / "bundle")])

    return command


def scoring(home: Path, processes: int) -> Command:
    """Returns the command of a bulk job over a bundle that it makes first."""
    import bulk

    kills.IMPORTS.extend(["vae_tf.bulk", "vae_tf.cli.bulk"])
    bundle, digits = bulk.bundle_of(home)
    np.save(home / "x.npy", np.tile(digits, (8, 1, 1, 1)))
    flags = ["score", "--bundle", str(bundle), "--input", str(home / "x.npy")]
    flags += ["--batch-rows", "64", "--shard-rows", "512", "--processes", str(processes)]

    def command(place: Path) -> Call | list[str]:
        if (place / "out/manifest.json").exists() and not (place / "out/.job").exists():
            return ["true"]  # the kill came after the last word
        return Call("vae_tf.cli.bulk", [*flags, "--output", str(place / "out")])

    return command


def launched(number: int) -> Command:
    """Returns the command of a training on two workers, which may be restarted so often."""
    train = [sys.executable, str(ROOT / "train.py"), *FLAGS, "--resume", "--run-dir"]
    launch = ["env", f"RESTARTS={10 * number}", str(ROOT / "scripts/launch"), "2", *train]
    return lambda place: [*launch, str(place / "run")]


def case_of(part: str, number: int, home: Path) -> Case:
    """Returns what a part disturbs."""
    if part == "train":
        return Case("a training", training(), same_run)
    if part == "stream":
        return Case("a training on shards", training(*shards(home)), same_run)
    if part == "export":
        return Case("an export", exporting(home), same_bundle)
    if part == "disk":
        command = training("--epochs", "2")
        return Case("a full disk in a training", command, same_run, "fill", each=1)
    if part == "disk-export":
        return Case("a full disk in an export", exporting(home), same_bundle, "fill", each=1)
    if part == "workers":
        command, kill = launched(number), kills.of_a_child
        return Case("a worker of two", command, same_run, kill=kill, survives=True)
    if part == "bulk":
        return Case("a bulk job", scoring(home, 1), same_shards)
    if part == "bulk-worker":
        command, kill = scoring(home, 2), kills.of_a_child
        return Case("a process of a bulk job", command, same_shards, kill=kill)
    sys.exit(f"error: PART must be a known one. Received: {part}. See the head of this file.")


def known() -> list[dict]:
    """Returns what results/faults.json has."""
    return json.loads(PATH.read_text()) if PATH.exists() else []


def added(line: dict, found: dict) -> dict:
    """Returns the line of a part with what happened to one run more."""
    moments, changes = line["moments"] + found["moments"], line["changes"] + found["changes"]
    return {
        "what": line["what"],
        "kills": len(moments) + len(changes),
        "identical": line["identical"] and found["identical"],
        "runs": line["runs"] + 1,
        "seconds_uninterrupted": found["seconds"],
        "changes_uninterrupted": found["all_changes"],
        "moments": moments,
        "changes": changes,
        "machine": common.machine(),
        "commits": list(dict.fromkeys([*line["commits"], common.commit()])),
    }


def main(part: str, number: int) -> None:
    """Adds to the line of a part."""
    with tempfile.TemporaryDirectory() as home:
        case = case_of(part, number, Path(home))
        line = {"what": case.what, "kills": 0, "identical": True, "runs": 0, "commits": []}
        line |= {"moments": [], "changes": []}
        line = next((old for old in known() if old["what"] == case.what), line)
        campaign = kills.campaign(case, number, line["changes"], line["kills"], Path(home))
        for found in campaign:
            line = added(line, found)
            others = [old for old in known() if old["what"] != case.what]
            PATH.write_text(json.dumps([*others, line], indent=1) + "\n")


def page() -> None:
    """Writes the table."""
    text = "| what | kills, or full disks | same result as undisturbed |\n|---|---|---|\n"
    for line in known():
        text += f"| {line['what']} | {line['kills']} | {'yes' if line['identical'] else 'no'} |\n"
    common.write_table(NAME, text, ROOT / "docs/scale.md")


if __name__ == "__main__":
    if sys.argv[1:] == ["page"]:
        page()
    elif len(sys.argv) == 3 and sys.argv[2].isdecimal():
        main(sys.argv[1], int(sys.argv[2]))
    else:
        sys.exit(__doc__)
