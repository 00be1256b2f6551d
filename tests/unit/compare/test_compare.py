"""`python -m vae_tf.compare`, with short trainings."""

import json

import numpy as np
import pytest

from vae_tf.cli.compare import main
from vae_tf.compare import compare
from vae_tf.densities import Heights
from vae_tf.errors import DataError


@pytest.mark.slow
def test_heights_with_their_truth(tmp_path, capsys):
    flags = ["--dataset", "heights", "--output", str(tmp_path), "--epochs", "2"]
    assert main([*flags, "--importance-samples", "20"]) == 0
    assert "below the truth" in capsys.readouterr().out
    written = json.loads((tmp_path / "compare.json").read_text())["rows"]
    rows = {row["model"]: row for row in written}
    assert list(rows) == ["normal", "Gaussian mixture", "VAE", "truth"]
    assert rows["truth"]["gap"] is None  # that is itself
    heights = np.loadtxt(tmp_path / "data.csv", skiprows=1)[:, None]
    entropy = -Heights().log_prob(heights)
    error = np.std(entropy) / np.sqrt(500)
    assert abs(-rows["truth"]["value"] - entropy.mean()) < 4 * error
    # Two numbers of 4,000 rows cost about 2 / 8,000 nats; the normal also misses two humps
    assert 0 < rows["normal"]["gap"] < 0.03
    assert (tmp_path / "samples.png").exists()


@pytest.mark.slow
def test_images_in_bits(tmp_path):
    found = compare("digits", tmp_path, epochs=3, importance_samples=10)
    values = {row.model: row.value for row in found.rows}
    assert set(values) == {"normal", "probabilistic PCA", "Gaussian mixture", "VAE"}
    assert found.metric == "bits per dimension"
    assert all(0 < value < 8 for value in values.values())  # 8 bits need no model
    assert values["Gaussian mixture"] < values["normal"] < values["probabilistic PCA"]
    for row in found.rows:
        assert row.samples.shape[1:] == (8, 8, 1)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["a,b", *(f"{i}.5,{'xyz'[i % 3]}" for i in range(60))], "--kinds b=ignore"),
        (["a,b", *(f"{i}.5,{'' if i % 4 else 2.5 * i}" for i in range(60))], "complete rows"),
    ],
)
def test_tables_that_explicit_densities_cannot_have(tmp_path, lines, words):
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=words):
        compare(f"table:{tmp_path / 't.csv'}", tmp_path / "out", epochs=1)
    assert not (tmp_path / "out/vae").exists()
