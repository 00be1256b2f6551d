"""The tables of hierarchies, few labels and texts are the measured ones."""

import json
import statistics
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def families_page():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import families_page
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return families_page


def measured(name):
    path = ROOT / f"benchmarks/results/{name}.json"
    if not path.exists():
        pytest.skip(f"{path.name} is not measured yet")
    return json.loads(path.read_text())


def assert_semi_supervised(lines, page):
    for method in {line["method"] for line in lines}:
        errors = [100 * line["test_error"] for line in lines if line["method"] == method]
        mean, spread = statistics.mean(errors), statistics.stdev(errors)
        assert f"| {method} | {mean:.2f} ± {spread:.2f} | {len(errors)} |" in page


def assert_hierarchical(result, page):
    for case in ("one", "two"):
        nll = [one["test_nll"] for one in result["models"] if one["case"] == case]
        mean, spread = statistics.mean(nll), statistics.stdev(nll)
        name = {"one": "one group", "two": "two groups"}[case]
        assert f"| {name} | {mean:.2f} ± {spread:.2f} |" in page
    squares = sum(result[f"test_nll_{case}_stderr_over_seeds"] ** 2 for case in ("one", "two"))
    assert f" {result['gain']:.2f} ± {squares**0.5:.2f} nats" in page


TEXT_MODELS = {
    "vae_from_the_start": "VAE",
    "decoder_alone": "its decoder without z",
    "vae": "VAE, after the decoder without z",
    "language_model": "the decoder without z, longer",
}


def assert_text(lines, page):
    assert {line["model"] for line in lines} == set(TEXT_MODELS)
    for line in lines:
        name = TEXT_MODELS[line["model"]]
        nll = f"{line['nll_per_line']:.2f} ± {line['stderr']:.2f}"
        assert f"| {name} | {nll} | {line['perplexity']:.3f} | {line['kl']:.2f} |" in page
        if line["model"] == "vae":
            more, error = (line[f"nll_above_language_model{end}"] for end in ("", "_stderr"))
            word = "more" if more > 0 else "fewer"
            assert f"needs {abs(more):.2f} ± {error:.2f} nats {word} a line" in page


CASES = {
    "semi_supervised": ("semi_supervised", assert_semi_supervised),
    "hierarchical": ("hierarchical", assert_hierarchical),
    "text": ("sequences", assert_text),
}


@pytest.mark.parametrize("name", CASES)
def test_the_page_has_what_was_measured(name):
    page, check = CASES[name]
    check(measured(name), (ROOT / f"docs/{page}.md").read_text("utf-8"))


METHODS = (
    *("classifier on the labels alone", "1 nearest neighbour on M1's codes"),
    *("M1", "M2", "M1+M2"),
)
MADE_UP = {
    "semi_supervised": [
        {"method": method, "seed": seed, "test_error": (i + 1) / 100 + seed / 900}
        for i, method in enumerate(METHODS)
        for seed in range(5)
    ],
    "hierarchical": {
        "data": "binarized_mnist",
        "processor_seconds": 1200,
        "importance_samples": 500,
        "gain": 1.25,
        "test_nll_one_stderr_over_seeds": 0.3,
        "test_nll_two_stderr_over_seeds": 0.4,
        "models": [
            {"case": case, "test_nll": 90 + len(kl) * seed**2, "kl_by_group": kl}
            | {"parameters": 12345, "steps": 1000 + seed}
            for case, kl in (("one", [25.0]), ("two", [10.0, 15.0]))
            for seed in range(3)
        ],
    },
    "text": [
        {"model": model, "nll_per_line": 60.0 + i, "stderr": 0.3, "perplexity": 5.4, "kl": 3.0 * i}
        | {"parameters": 54321, "train_seconds": 3000.0, "importance_samples": 500}
        | {"nll_above_language_model": i - 1.5, "nll_above_language_model_stderr": 0.05}
        for i, model in enumerate(TEXT_MODELS)
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_a_table_is_written_between_the_marks_of_its_page(
    name, families_page, tmp_path, monkeypatch
):
    page, check = CASES[name]
    before = (ROOT / f"docs/{page}.md").read_text("utf-8")
    (tmp_path / f"{page}.md").write_text(before, "utf-8")
    (tmp_path / f"{name}.json").write_text(json.dumps(MADE_UP[name]))
    monkeypatch.setattr(families_page, "DOCS", tmp_path)
    monkeypatch.setattr(families_page.common, "RESULTS", tmp_path)
    families_page.main(name)
    written = (tmp_path / f"{page}.md").read_text("utf-8")
    check(MADE_UP[name], written)
    families_page.main(name)  # again, in place of itself
    assert (tmp_path / f"{page}.md").read_text("utf-8") == written
    marks = families_page.common
    begin = marks.BEGIN.format(name)
    outside = [text.partition(begin)[0] for text in (before, written)]
    outside += [text.partition(begin)[2].partition(marks.END)[2] for text in (before, written)]
    assert outside[0] == outside[1]
    assert outside[2] == outside[3]


def test_a_result_that_is_not_whole_is_refused(families_page):
    with pytest.raises(SystemExit, match="2 of 5"):
        families_page.semi_supervised(MADE_UP["semi_supervised"][3:])
