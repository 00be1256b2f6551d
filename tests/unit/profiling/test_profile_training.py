"""What is measured is a time and not tested; what it is made of, and what it leaves behind, is."""

import json

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from vae_tf import VAE, networks, profile_training
from vae_tf.cli.tables import show_profile
from vae_tf.errors import ConfigError, DataError
from vae_tf.models.executions import MOST
from vae_tf.objectives import IWAE, LinearWarmup
from vae_tf.profiling import PARTS, measuring
from vae_tf.profiling.fitting import batch_of, in_memory
from vae_tf.runs.directory import RunDirectory

X = np.random.default_rng(0).integers(0, 2, (40, 12)).astype("float32")


def make(compiled=True, **kwargs):
    encoder = networks.mlp_encoder((12,), 2, hidden=(8,), dropout=0.2, seed=0)
    decoder = networks.mlp_decoder(2, {"logits": (12,)}, hidden=(8,), dropout=0.2, seed=1)
    vae = VAE(encoder, decoder, seed=3, **kwargs)
    if compiled:
        vae.compile("adam", steps_per_execution=2)
    return vae


def dataset(*parts):
    return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0]).batch(10)


def traced(file):
    """Returns the names of the events in a trace."""
    space = xplane_pb2.XSpace.FromString(file.read_bytes())
    return {
        plane.event_metadata[event.metadata_id].name
        for plane in space.planes
        for line in plane.lines
        for event in line.events
    }


def state(vae):
    variables = (*vae.variables, *vae.metrics_variables, *vae.optimizer.variables)
    return [np.array(variable) for variable in variables]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:LinearWarmup reaches its last value")  # the first epoch alone
@pytest.mark.usefixtures("quick")
def test_training_goes_on_as_if_nothing_had_been(tmp_path):
    """Weights, Adam's moments, dropout's and the latents' streams, the clock of the warm-up."""
    one, other = (make(beta=LinearWarmup(epochs=2)) for _ in range(2))
    for vae in (one, other):
        vae.fit(X, batch_size=10, epochs=1, verbose=0, shuffle=False)
    before, step = state(one), one.train_function
    profile = profile_training(one, X, 10, trace=tmp_path)
    assert (profile.batch_size, profile.data_alone) == (10, None)
    for a, b in zip(before, state(one), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.train_function is step
    for vae in (one, other):
        vae.fit(X, batch_size=10, initial_epoch=1, epochs=3, verbose=0, shuffle=False)
    for a, b in zip(state(one), state(other), strict=True):
        np.testing.assert_array_equal(a, b)
    (file,) = tmp_path.glob("plugins/profile/*/*.xplane.pb")  # where TensorBoard looks
    names = traced(file)
    assert "train" in names  # a step
    assert any(name.endswith("MatMul") for name in names)


def test_a_model_is_put_back_whatever_happens(monkeypatch):
    vae = make()
    before = [np.array(v) for v in vae.variables]

    def interrupted(vae, batch):
        for variable in vae.variables:
            variable.assign(variable + 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "Pieces", interrupted)
    with pytest.raises(KeyboardInterrupt):
        profile_training(vae, X, 10)
    for a, b in zip(before, vae.variables, strict=True):
        np.testing.assert_array_equal(a, np.array(b))


@pytest.mark.usefixtures("quick")
def test_the_parts_make_up_the_step(tmp_path, capsys):
    weighted = dataset(X, np.zeros(40), np.ones(40, "float32"))
    profile = profile_training(make(objective=IWAE(3)), weighted)
    assert list(profile.parts) == list(PARTS)
    assert min(profile.parts.values()) >= 0
    assert sum(profile.parts.values()) == pytest.approx(profile.step)
    assert profile.step > 0
    assert profile.data <= profile.data_alone * (1 + 1e-9)  # the parts are scaled to the step
    assert (profile.batch_size, profile.steps_per_execution) == (10, 2)
    saved = json.loads(json.dumps(profile.as_dict(), allow_nan=False))
    assert saved["advice"] == list(profile.advice)
    show_profile(profile, RunDirectory(tmp_path))
    printed = capsys.readouterr().out
    for text in (*PARTS, *profile.advice):
        assert text in printed
        assert text in str(profile).replace("\n  ", " ")


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_steps_that_fit_chose_are_told_and_its_functions_stay():
    vae = make(compiled=False)
    vae.compile("adam")
    vae.fit(X, batch_size=10, verbose=0)
    before = {steps: dict(functions) for steps, functions in vae._functions.items()}
    assert profile_training(vae, X, 10).steps_per_execution == MOST
    assert vae._functions == before
    assert vae.steps_per_execution == 1


def test_a_held_batch_looks_like_the_data():
    """Another spec would have `fit` compiled anew, for full batches only."""
    data = dataset(X, np.zeros(40), np.ones(40, "float32"))
    batch, specs = batch_of(data, None)
    held = in_memory(batch, specs)
    assert held.element_spec == data.element_spec
    for given, wanted in zip(next(iter(held)), batch, strict=True):
        np.testing.assert_array_equal(given, wanted)


def test_refusals():
    with pytest.raises(ConfigError, match="needs a compiled model"):
        profile_training(make(compiled=False), X)
    with pytest.raises(ConfigError, match="needs data it can repeat"):
        profile_training(make(), (x for x in X))
    with pytest.raises(DataError, match="from 0 to 1"):
        profile_training(make(), X + 3)
    with pytest.raises(DataError, match="as the encoder takes"):
        profile_training(make(), dataset(X[:, :5]))
    with pytest.raises(DataError, match="must hold examples"):
        profile_training(make(), dataset(X).take(0))


def test_pieces_taken_apart():
    """Data wait 10 - 8 = 2; of the 8, gradients 4 and update 1 leave 3; of the 4, the loss 3."""
    seconds = {"fit": 10.0, "held": 8.0, "alone": 5.0, "nothing": 0.5}
    seconds |= {"gradients": 4.5, "optimizer": 1.5, "forward": 3.5, "encoder": 1.5, "decoder": 1.0}
    assert measuring._apart(seconds) == {
        "data": 2.0,
        "encoder": 1.0,
        "decoder": 0.5,
        "loss": 1.5,
        "backward": 1.0,
        "optimizer": 1.0,
        "overhead": 3.0,
    }
    waiting = measuring._apart(seconds | {"alone": 0.5})
    assert (waiting["data"], waiting["overhead"]) == (0.5, 4.5)  # no more than the data's own time
    crowded = measuring._apart(seconds | {"held": 10.0, "gradients": 15.5, "optimizer": 5.5})
    assert crowded["optimizer"] == pytest.approx(2.5)  # 15 and 5 share 10
    assert sum(crowded.values()) == pytest.approx(10.0)
