import numpy as np
import pytest

from vae_tf import VAE
from vae_tf.distributions import Bernoulli, GaussianLearnedScale, GaussianPixelScale
from vae_tf.networks import mlp_decoder, mlp_encoder

SHAPE = (4, 3, 1)
LATENT_DIM = 2


def make(likelihood=None, **kwargs):
    likelihood = likelihood or Bernoulli()
    encoder = mlp_encoder(SHAPE, LATENT_DIM, (16,), seed=1)
    decoder = mlp_decoder(LATENT_DIM, likelihood.parameter_shapes(SHAPE), (16,), seed=2)
    vae = VAE(encoder, decoder, likelihood=likelihood, **kwargs)
    vae.compile(optimizer="adam")
    return vae


@pytest.fixture(params=[Bernoulli, GaussianLearnedScale, GaussianPixelScale])
def vae(request):
    return make(request.param())


@pytest.fixture
def x():
    return (np.random.default_rng(0).random((70, *SHAPE)) > 0.5).astype("float32")
