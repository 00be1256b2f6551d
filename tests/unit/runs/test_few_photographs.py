"""A few dozen photographs and no flag: a training that learns, and goes astray in no epoch."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from vae_tf.runs.build import build_model, kind_of
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.suited import suited

SIDE = 32
EPOCHS = 24  # of two steps


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of 46 pieces of two photographs, of many places and sizes, scaled to one size."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(1)
    for i in range(46):
        photo = load_sample_images().images[i % 2]
        side = int(rng.integers(100, 400))
        top, left = (int(rng.integers(0, size - side)) for size in photo.shape[:2])
        piece = Image.fromarray(photo[top : top + side, left : left + side])
        piece.resize((SIDE, SIDE)).save(folder / f"{i}.png")
    return folder


def elbos(folder, **settings):
    """The validation ELBO before the training, those of all epochs, and those of training."""
    asked = TrainConfig(dataset=f"folder:{folder}", **settings)
    kind = kind_of(asked)
    config, _ = suited(asked, kind)
    vae, size = build_model(config, kind), config.number("batch_size")
    validation = kind.data.validation.batches(size)
    before = vae.evaluate(validation, return_dict=True, verbose=0)["elbo"]
    history = vae.fit(
        kind.training_batches(config, 0),
        validation_data=validation,
        steps_per_epoch=kind.steps_per_epoch(config),
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
    ).history
    return before, np.array(history["val_elbo"]), np.array(history["elbo"])


@pytest.mark.slow
def test_no_epoch_is_worse_than_a_model_that_knows_nothing(photographs):
    # An untrained decoder puts out 0, with the spread of the pixels as scale
    before, validation, training = elbos(photographs)
    assert validation.min() > 1.1 * before  # both are below 0
    assert training.min() > 1.1 * training[0]
    assert validation[-1] > 0.75 * before
