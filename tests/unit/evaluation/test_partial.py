"""Evaluations that were interrupted end with the numbers of those that were not."""

import json

import numpy as np
import pytest

import vae_tf
from vae_tf.errors import RunError
from vae_tf.networks import mlp_decoder, mlp_encoder

SHAPE = (3, 2, 1)
X = (np.random.default_rng(0).random((50, *SHAPE)) > 0.5).astype("float32")


def model(seed=0):
    decoder = mlp_decoder(2, {"logits": SHAPE}, (8,), seed=seed)
    return vae_tf.VAE(mlp_encoder(SHAPE, 2, (8,)), decoder)


def evaluate(path=None, *, vae=None, x=X, progress=None, **options):
    options = {"num_samples": 64, "batch_size": 20, "precision": "bfloat16", **options}
    return vae_tf.log_likelihood(vae or model(), x, checkpoint=path, progress=progress, **options)


def stop_at(examples):
    def stop(done):
        if done == examples:
            raise KeyboardInterrupt

    return stop


@pytest.fixture
def interrupted(tmp_path):
    path = tmp_path / "new" / "likelihood"
    with pytest.raises(KeyboardInterrupt):
        evaluate(path, progress=stop_at(40))
    assert [p.name for p in path.parent.iterdir()] == ["likelihood"]
    return path


@pytest.mark.slow
def test_resumed_to_the_bit(tmp_path):
    whole, path = evaluate(), tmp_path / "likelihood.npz"
    assert whole.precision == "bfloat16"
    for examples in (20, 40):
        with pytest.raises(KeyboardInterrupt):
            evaluate(path, progress=stop_at(examples))
    done = []
    resumed = evaluate(path, progress=done.append)
    assert done == [20, 40, 50]
    for result in (resumed, evaluate(path)):  # the second has nothing left to do
        np.testing.assert_array_equal(result.per_example, whole.per_example)
        np.testing.assert_array_equal(result.monte_carlo_variance, whole.monte_carlo_variance)
        assert result.precision_error == whole.precision_error


def test_finished_batches_are_not_decoded_again(interrupted, monkeypatch):
    from vae_tf.evaluation.importance import Estimator

    sizes = []
    original = Estimator.estimate

    def noted(self, batch, *rest):
        sizes.append(len(batch.x))
        return original(self, batch, *rest)

    monkeypatch.setattr(Estimator, "estimate", noted)
    evaluate(interrupted)
    assert sizes == [10]


def test_a_file_of_draws_by_batch_is_refused(interrupted):
    """As versions before 0.2 wrote it."""
    with np.load(interrupted) as saved:
        arrays = dict(saved)
    head = json.loads(str(arrays.pop("head")))
    del head["identity"]["draws"]
    with interrupted.open("wb") as file:
        np.savez(file, head=np.array(json.dumps(head)), **arrays)
    with pytest.raises(RunError, match=r"earlier version, which drew other numbers.*Delete it"):
        evaluate(interrupted)


@pytest.mark.slow_but(3)
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"num_samples": 10}, "num_samples 10 instead of 64"),
        ({"seed": 1}, "seed 1 instead of 0"),
        ({"precision": "float32"}, "precision 'float32' instead of 'bfloat16'"),
        ({"vae": model(seed=5)}, "other weights"),
        ({"x": 1 - X}, "other data in batch 0"),
        ({"batch_size": 25}, "other data in batch 0"),
        ({"x": np.concatenate([X[:20], X[:20]])}, "other data in batch 1"),
    ],
    ids=str,
)
def test_another_evaluations_file_is_refused(interrupted, change, named):
    before = interrupted.read_bytes()
    with pytest.raises(RunError, match=f"of the same model, data and settings.*{named}.*Delete it"):
        evaluate(interrupted, **change)
    assert interrupted.read_bytes() == before


@pytest.mark.parametrize("spoil", [lambda b: b"", lambda b: b[:200], lambda b: b"PK" + b[9:]])
def test_a_damaged_file_is_refused(interrupted, spoil):
    interrupted.write_bytes(spoil(interrupted.read_bytes()))
    with pytest.raises(RunError, match=r"must be a whole file.*Delete it to start"):
        evaluate(interrupted)
