import pytest

from vae_tf.profiling import measuring


@pytest.fixture
def quick(monkeypatch):
    """One short round: what is measured does not matter."""
    for name, value in {"ROUNDS": (1, 1), "PIECE": 1e-3, "FIT": 1e-3}.items():
        monkeypatch.setattr(measuring, name, value)
