"""Bundles, and what they are made of, of parts by name, as most tests have them."""

from vae_tf import distributions, exporting, networks
from vae_tf.exporting.signatures.halves import Halves
from vae_tf.models.parts import NAMES, Parts


def write_bundle(**given):
    """Returns the bundle of a model's five parts; all else is passed on."""
    parts = Parts(**{name: given.pop(name) for name in NAMES})
    return exporting.write_bundle(parts, **given)


def halves(shape, latent, *preprocessing, **parts):
    """Returns a model as its signatures see it; parts not given are small ones."""
    posterior = parts.get("posterior") or distributions.DiagonalNormal()
    likelihood = parts.get("likelihood") or distributions.Bernoulli()
    shapes = posterior.parameter_shapes(latent), likelihood.parameter_shapes(shape)
    made = {
        "encoder": lambda: networks.mlp_encoder(shape, latent, hidden=(2,), outputs=shapes[0]),
        "decoder": lambda: networks.mlp_decoder(latent, shapes[1], hidden=(2,)),
        "prior": lambda: distributions.StandardNormal(latent),
        "posterior": lambda: posterior,
        "likelihood": lambda: likelihood,
    }
    return Halves(
        Parts(**{name: parts.get(name) or make() for name, make in made.items()}),
        tuple(shape),
        *preprocessing,
    )
