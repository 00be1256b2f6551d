"""A model small enough for every test of its exports, with all the signatures there are."""

from vae_tf import distributions, networks
from vae_tf.exporting.options import Options

SHAPE, LATENT = (6, 5, 1), 3


def parts():
    """Returns write_bundle's keyword arguments, all but the directory."""
    likelihood = distributions.GaussianPixelScale()
    return {
        "encoder": networks.mlp_encoder(SHAPE, LATENT, hidden=(40,), seed=0),
        "decoder": networks.mlp_decoder(
            LATENT, likelihood.parameter_shapes(SHAPE), hidden=(40,), seed=1
        ),
        "prior": distributions.MixtureOfNormals(LATENT, components=3),
        "posterior": distributions.DiagonalNormal(),
        "likelihood": likelihood,
        "preprocessing": {"scale": 1 / 255, "value_range": [0.0, 1.0]},
        "options": Options(whole=True, importance_samples=4),
    }
