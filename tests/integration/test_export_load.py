"""A few hundred requests of the load benchmark, and that it would notice what it looks for."""

import copy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.bundles import bundle_of
from tests.cpp_server import CppServer, Refused
from vae_tf.errors import ExportError

from .small_model import LATENT, parts

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """The benchmark, and what it got from eight threads for requests to every signature."""
    bundle = bundle_of(tmp_path_factory, "whole", **parts())
    signatures = bundle.manifest["signatures"]
    paths = {name: bundle.directory / entry["saved_model"] for name, entry in signatures.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import export_load

        pool = export_load.requests(signatures)
        report = export_load.drive(pool, paths, count=600, warmup=100)
        yield SimpleNamespace(
            module=export_load, pool=pool, paths=paths, report=report, signatures=signatures
        )


def check(loaded, **changes):
    loaded.module.check(loaded.report | changes, loaded.pool, loaded.paths)


@pytest.mark.slow
def test_eight_threads(loaded):
    check(loaded)
    result = loaded.module.summary(loaded.report, loaded.pool)
    assert result["requests"] == 600
    assert list(result["signatures"]) == list(loaded.paths)
    assert set(loaded.paths) == {
        *("encode", "sample", "encode_bytes", "decode", "generate", "generate_png"),
        *("prior_log_prob", "reconstruct", "score", "impute", "surprisal"),
    }
    assert all(entry["requests"] > 0 for entry in result["signatures"].values())
    assert sum(entry["requests"] for entry in result["signatures"].values()) == 600
    assert 0 < result["p50_us"] <= result["p99_us"]
    assert all(answers for answers in loaded.report["answers"])


@pytest.mark.slow
def test_errors_are_noticed(loaded):
    wrong = [("decode", {"z": np.zeros((2, LATENT + 1), np.float32)})]
    paths = {"decode": loaded.paths["decode"]}
    report = loaded.module.drive(wrong, paths, count=5, warmup=1)
    with pytest.raises(ExportError, match="6 errors, the first: "):
        loaded.module.check(report, wrong, paths)


@pytest.mark.slow
def test_one_wrong_answer_is_noticed(loaded):
    answers = copy.deepcopy(loaded.report["answers"])
    index = next(i for i, (name, _) in enumerate(loaded.pool) if name == "decode")
    other = next(i for i in range(index + 1, len(answers)) if loaded.pool[i][0] == "decode")
    image, of_another = answers[index][0]["image"], answers[other][0]["image"]
    image["data"] = of_another["data"][: len(image["data"])]
    with pytest.raises(ExportError, match=r"decode in the C\+\+ loader under load must agree"):
        check(loaded, answers=answers)


@pytest.mark.slow
def test_growing_memory_is_noticed(loaded):
    first, *_ = loaded.report["resident"]
    for grown in (0, 1):
        resident = [first, first, first + loaded.module.GROWTH + grown]
        told = loaded.module.summary(loaded.report | {"resident": resident}, loaded.pool)
        assert told["memory_flat"] == (not grown)


@pytest.mark.slow
def test_every_signature_refuses_more_rows_than_its_limit(loaded):
    server = CppServer()
    for name, inputs in loaded.module.requests(loaded.signatures, [4]):
        limit = loaded.signatures[name]["max_rows"]
        assert 32 <= limit <= 4096
        many = {key: np.resize(x, (limit + 1, *x.shape[1:])) for key, x in inputs.items()}
        with pytest.raises(Refused, match=f"at most {limit} rows"):
            server(loaded.paths[name], name, many)
    server.close()
