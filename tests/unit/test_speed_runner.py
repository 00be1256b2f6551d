"""The benchmark suite's arithmetic and its processes, on made-up rounds; nothing is timed."""

import pytest

from benchmarks.speed import page, pictures, results, startup, work
from benchmarks.speed.runner import Contender, Settings, race

ORIGIN = {"commit": "abc", "machine": {"cpu": "a chip", "cores": 2, "system": "Linux"}}


def made_up(name="MLP batch 128", scale=1.0) -> dict:
    return {
        "name": name,
        "what": "training",
        "unit": "images/s",
        "ours": ["fit, bf16"],
        "rates": {
            "fit, bf16": [200 * scale, 300 * scale, 100 * scale],
            "Keras": [100.0, 100.0, 100.0],
            "PyTorch": [50.0, 200.0, 100.0],
        },
        "failed": {"pythae": "no compiler"},
        "peak_mb": {"fit, bf16": 700},
    }


def test_ratios_are_of_the_same_round():
    to_keras, to_torch = results.comparisons(made_up())
    assert to_keras["name"] == "MLP batch 128: fit, bf16 / Keras"
    assert set(to_keras) == set(
        ["name", "ours", "theirs", "what", "ratio_median", "ratio_min", "ratio_max", "unit"]
    )
    assert (to_keras["ours"], to_keras["theirs"]) == (200, 100)
    found = [(c["ratio_median"], c["ratio_min"], c["ratio_max"]) for c in (to_keras, to_torch)]
    # PyTorch: 200/50, 300/200, 100/100; the ratio of medians would be 2
    assert found == [(2, 1, 3), (1.5, 1, 4)]


def test_a_section_measured_again_replaces_its_own_comparisons_alone():
    first = results.merged(
        {}, {"training": {"races": [made_up()]}, "nll": {"races": [made_up("NLL")]}}
    )
    again = results.merged(first, {"nll": {"races": [made_up("NLL", scale=2)]}})
    assert list(again) == ["comparisons", "mlp_over_pytorch", "training", "nll"]
    assert again["mlp_over_pytorch"] == 1.5  # the README's, of the fastest that begins so
    assert again["training"] == first["training"]
    ratios = {c["name"]: c["ratio_median"] for c in again["comparisons"]}
    assert ratios["NLL: fit, bf16 / Keras"] == 4
    assert ratios["MLP batch 128: fit, bf16 / Keras"] == 2
    assert len(ratios) == 4


def test_the_page_shows_what_the_file_holds(tmp_path):
    trained = {**made_up(), "network": "mlp", "batch_size": 128, "ceilings": {"bf16": [1000.0]}}
    trained["share"] = {"fit, bf16": 0.25}
    curve = {**made_up("latent size"), "rates": {"2": [10.0], "8": [9.0]}, "failed": {}}
    curve["peak_mb"] = {"2": 512, "8": 513}
    network = {"flops_per_image": 8_000_000, "weights": 1_000_000, "bytes_per_step": 40_000_000}
    result = results.merged(
        {},
        {
            "training": {"races": [trained], **ORIGIN},
            "nll": {"races": [made_up("NLL")], **ORIGIN},
            "roofline": {
                "compute": {"rates": {"matmul": [1234.0]}},
                "memory": {"rates": {"copy": [10.0]}},
                "networks": {"mlp": network},
                **ORIGIN,
            },
            "startup": {
                "all": {"--help": [0.2, 0.4, 0.3]},
                "stages": {"imports": [2.0, 4.0, 3.0], "model": [1.0, 1.0, 2.0]},
                **ORIGIN,
            },
            "growth": {"curves": {"latent size": curve}, **ORIGIN},
        },
    )
    text = page.text(result)
    assert "| **fit, bf16** | 200 (100–300) | 25% |  |" in text
    assert "| PyTorch | 100 (50–200) |  | 1.50 (1.00–4.00) |" in text
    assert "pythae failed: no compiler" in text
    # 128 * 8 MFLOP at 1000 GFLOP/s; 40 MB at 10 GB/s; 128 images at 200 a second
    assert "| MLP batch 128 | 1.02 | 40.0 | 1.02 | 4.00 | 640.00 |" in text
    assert "| --help | 0.30 (0.20–0.40) |" in text
    assert "| model | 1.00 (1.00–2.00) |" in text
    assert "| in all | 5.00 (3.00–5.00) |" in text
    assert "| 8 | 9 (9–9) | 513 |" in text
    assert "commit abc, 2 cores of a chip, Linux" in text
    drawn = pictures.draw(result, tmp_path)
    assert {f"images/{path.name}" for path in drawn} == {
        word.split("(")[1].split(")")[0] for word in text.splitlines() if word.startswith("![")
    }
    assert all(path.stat().st_size > 1000 for path in drawn)


@pytest.mark.slow
def test_the_stages_of_a_start_are_those_of_train_py(tmp_path):
    found = startup.stages(tmp_path / "run")
    stages = ["digits read", "model built", "run directory opened", "validation and checkpoint"]
    assert set(stages) < set(found)
    assert all(seconds >= 0 for seconds in found.values())
    assert found["training of the epoch"] > found["training of the epoch, second epoch"]  # traced
    assert (tmp_path / "run/metrics.csv").read_text().count("\n") >= 2  # the command itself ran


def test_the_work_of_a_training_image():
    assert work.flops_per_draw() == 2 * (32 * 500 + 500 * 500 + 500 * 784)
    assert work.weights("mlp") == 2 * (784 * 500 + 500 * 500) + 500 * 64 + 32 * 500
    assert work.flops_per_image("mlp") == 6 * work.weights("mlp")
    # keras.io's conv decoder alone, by hand: 3x3 kernels on 7x7, 14x14 and 28x28
    decoder = 2 * 3136 + 9 * (49 * 64 * 64 + 196 * 64 * 32 + 784 * 32)
    encoder = 9 * (196 * 32 + 49 * 32 * 64) + 3136 * 16 + 16 * 4
    assert work.flops_per_image("conv") == 6 * (encoder + decoder)


@pytest.mark.parametrize("section", results.SECTIONS)
def test_sections_can_be_named_without_a_framework(section):
    assert callable(__import__(f"benchmarks.speed.{section}", fromlist=["run"]).run)


def test_a_race_goes_on_without_those_that_fail(tmp_path):
    (tmp_path / "made_up.py").write_text(
        "def make(scratch, units):\n"
        "    print('chatter')\n"
        "    return lambda seconds: (1 * units, 2.0)\n"
    )
    path = {"PYTHONPATH": str(tmp_path)}
    contenders = [
        Contender("goes on", "made_up:make", {"units": 3.0}, ours=True, environment=path),
        Contender("cannot start", "made_up:make", {"apples": 1}, environment=path),
        Contender("breaks down", "made_up:make", {"units": None}, environment=path),
        Contender("is not there", "nowhere:make"),
    ]
    settings = Settings(rounds=2, seconds=0.0, scratch=tmp_path)
    found = race("made up", contenders, settings, unit="units/s", what="nothing")
    assert found["rates"]["goes on"] == [1.5, 1.5]
    assert found["ours"] == ["goes on"]
    assert "apples" in found["failed"]["cannot start"]
    assert "TypeError" in found["failed"]["breaks down"]
    assert list(found["rates"]) == ["goes on"]
    assert "nowhere" in found["failed"]["is not there"]
