"""The figures of docs/scale.md, beside what the benchmark wrote."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_table_is_the_measured_one():
    lines = json.loads((ROOT / "benchmarks/results/bulk.json").read_text())
    page = (ROOT / "docs/scale.md").read_text("utf-8")
    for line in lines[1:]:
        cells = [f"{line['ratio']:.2f}", f"{line['ratio_after_start']:.2f}"]
        rate = f"{line['rows_per_second']:,.0f}"
        assert f"| {line['processes']} | {rate} | {' | '.join(cells)} |" in page
    assert f"The bare loop scored {lines[0]['rows_per_second']:,.0f}" in page
