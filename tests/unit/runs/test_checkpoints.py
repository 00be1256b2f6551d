import json

import keras
import numpy as np
import pytest

from vae_tf.errors import RunError
from vae_tf.runs.checkpoints import Checkpoints, best_epoch


def model():
    m = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    m.compile("adam", "mse")
    return m


def history(*elbos):
    return [{"val_elbo": float(e)} for e in elbos]


def test_best_epoch():
    assert best_epoch([]) == 0
    assert best_epoch(history(-3, -1, -2, -1)) == 2  # the first of equals
    assert best_epoch(history(-1, -3, -2), start=1) == 3  # not during the warm-up
    assert best_epoch(history(-1, -3), start=5) == 2


def test_keeps_the_newest_and_the_best(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c")
    assert checkpoints.newest() == {"epochs": 0, "finished": False, "history": []}
    m = model()
    logs = history(-3, -1, -2, -4)
    for n in range(1, 5):
        checkpoints.save(m, logs[:n], finished=n == 4)
    assert checkpoints.epochs() == [2, 4]
    newest = checkpoints.newest()
    assert (newest["epochs"], newest["finished"], newest["history"]) == (4, True, logs)
    assert (tmp_path / "metrics.csv").read_text().splitlines()[1] == "1,-3.0"


def test_restores_weights_and_optimizer(tmp_path):
    m, x = model(), np.ones((8, 2))
    m.fit(x, x[:, :1], verbose=0)
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(m, history(-1), finished=False)
    copy = model()
    checkpoints.restore(copy, 1)
    for a, b in zip(m.variables + m.optimizer.variables, copy.variables, strict=False):
        np.testing.assert_array_equal(a, b)
    assert copy.optimizer.iterations == 1


@pytest.mark.parametrize("spoil", ["truncate weights", "no weights", "truncate state", "no state"])
def test_damage_is_named(tmp_path, spoil):
    checkpoints = Checkpoints(tmp_path / "c")
    m = model()
    checkpoints.save(m, history(-2), finished=False)
    checkpoints.save(m, history(-2, -1), finished=False)
    checkpoints.save(m, history(-2, -1, -3), finished=False)
    what = "state.weights.h5" if "weights" in spoil else "state.json"
    path = tmp_path / "c" / "epoch-00003" / what
    if spoil.startswith("no"):
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(RunError, match=r"epoch-00003 must be whole.*resume after epoch 2"):
        checkpoints.restore(m, checkpoints.newest()["epochs"])


def test_the_state_is_json(tmp_path):
    Checkpoints(tmp_path / "c").save(model(), history(-1), finished=True)
    state = json.loads((tmp_path / "c" / "epoch-00001" / "state.json").read_text())
    assert state["finished"] is True
