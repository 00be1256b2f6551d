"""Each file of examples/ runs without arguments that it needs, made short, on data of its own."""

import importlib.util
import json
import threading
import urllib.error
import urllib.request
from pathlib import Path

import keras
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


def example(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / f"examples/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_is_tested_and_short():
    assert {f"test_{name}" for name in EXAMPLES} <= set(globals())
    for name in EXAMPLES:
        assert len((ROOT / f"examples/{name}.py").read_text("utf-8").splitlines()) < 80


def test_photos(tmp_path, capsys):
    example("photos").main(["--epochs", "1", "--output", str(tmp_path)])
    assert "test NLL" in capsys.readouterr().out
    for name in ("samples.png", "reconstructions.png", "photos.keras"):
        assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.slow
def test_photos_of_a_folder(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(40):
        pixels = rng.integers(0, 256, (20 + i, 30, 3), dtype="uint8")
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    flags = ["--image-size", "16", "16", "--epochs", "1", "--output", str(tmp_path / "out")]
    example("photos").main([str(tmp_path), *flags])
    assert (tmp_path / "out/samples.png").stat().st_size > 1000


def test_table(tmp_path, capsys):
    from vae_tf.data import Table

    example("table").main(["--epochs", "2", "--output", str(tmp_path)])
    assert "nats a row" in capsys.readouterr().out
    vae = keras.models.load_model(tmp_path / "table.keras")
    new = Table.load(tmp_path / "table.json").sample(vae, 3, seed=1)
    assert list(new.columns) == ["rooms", "area", "rent", "where"]
    assert set(new["where"]) <= {"centre", "north", "south"}


def test_conditional(tmp_path, capsys):
    example("conditional").main(["3", "1", "--epochs", "1", "--output", str(tmp_path)])
    assert "given the class" in capsys.readouterr().out
    assert (tmp_path / "conditional.png").stat().st_size > 1000


@pytest.mark.slow
def test_custom_likelihood(tmp_path, capsys):
    module = example("custom_likelihood")
    module.main(["--epochs", "12", "--output", str(tmp_path)])
    told = capsys.readouterr().out
    nll = {
        name: float(told.partition(f"{name}: NLL ")[2].split()[0])
        for name in ("GaussianLearnedScale", "StudentT")
    }
    assert nll["StudentT"] < nll["GaussianLearnedScale"]  # the ring has outliers
    loaded = keras.models.load_model(tmp_path / "student_t.keras")
    assert isinstance(loaded.likelihood, module.StudentT)


def test_phone_decoder(tmp_path, capsys):
    module = example("phone_decoder")
    module.main(["--epochs", "1", "--output", str(tmp_path / "bundle")])
    assert "bytes" in capsys.readouterr().out
    file = next((tmp_path / "bundle").rglob("decoder.tflite"))
    one, again, other = (module.draw(file, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, again)
    assert one.shape == (8, 8)
    assert not np.array_equal(one, other)


@pytest.mark.slow
def test_anomaly_service(tmp_path):
    module = example("anomaly_service")
    module.publish(tmp_path / "bundle", epochs=10)
    running = module.server(tmp_path / "bundle", 0)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    address = f"http://localhost:{running.server_port}"

    def ask(rows):
        request = urllib.request.Request(address, json.dumps(rows).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    usual = {"heat": 61, "vibration": 3.4, "mode": "fast"}
    try:
        told = ask([usual, {**usual, "vibration": 30.0}])
        assert [row["anomaly"] for row in told] == [False, True]
        with pytest.raises(urllib.error.HTTPError, match="400"):
            ask([{"heat": 61}])
    finally:
        running.shutdown()
        running.server_close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:keras_tuner")
def test_kerastuner_search(tmp_path, capsys):
    pytest.importorskip("keras_tuner", reason="keras-tuner is not installed: scripts/install dev")
    flags = ["--trials", "1", "--epochs", "1", "--output", str(tmp_path)]
    example("kerastuner_search").main(flags)
    assert "best validation ELBO" in capsys.readouterr().out
