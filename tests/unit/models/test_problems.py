import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_tf.errors import NonFiniteError

from .conftest import SHAPE, make


def test_a_training_that_explodes_stops_and_says_where(x):
    vae = make()
    vae.compile(keras.optimizers.SGD(1e20))
    with pytest.raises(NonFiniteError, match=r"first bad term being .*Lower the learning rate"):
        vae.fit(x, epochs=50, verbose=0)


STAGES = {
    "the data x": lambda vae, x: x * np.nan,
    "the latent draw": lambda vae, x: spoil(vae.encoder, x),
    "the decoder's output": lambda vae, x: spoil(vae.decoder, x),
}


def spoil(network, x):
    layer = next(layer for layer in network.layers if layer.name.endswith("_output"))
    layer.bias.assign(layer.bias * 0 + np.nan)
    return x


@pytest.mark.parametrize("stage", STAGES)
def test_the_first_bad_term_is_named(x, stage):
    vae = make()
    bad = STAGES[stage](vae, x)

    def batches():  # a generator: fit cannot look at it beforehand
        while True:
            yield (tf.constant(bad),)

    with pytest.raises(NonFiniteError, match=f"first bad term being {stage}"):
        vae.fit(batches(), steps_per_epoch=2, shuffle=False, verbose=0)


@pytest.mark.parametrize("likelihood", ["Bernoulli", "GaussianPixelScale", "GaussianLearnedScale"])
def test_huge_weights_give_finite_losses(x, likelihood):
    import vae_tf

    vae = make(getattr(vae_tf.likelihoods, likelihood)())
    for network in (vae.encoder, vae.decoder):
        for weight in network.trainable_weights:
            weight.assign(weight * 1e3)
    logs = vae.evaluate(x, return_dict=True, verbose=0)
    assert np.isfinite(list(logs.values())).all(), logs
    assert vae.sample(3, seed=0).shape == (3, *SHAPE)
