"""Writes the golden bundle of the present format: python tests/golden/make.py

Once a format has been released its bundle is never written again: what matters is that bundles
which exist stay readable. A new format gets a new directory beside the old ones.
"""

from pathlib import Path

import keras

from vae_tf import distributions, networks
from vae_tf.exporting import Options, manifest, write_bundle
from vae_tf.models.parts import Parts

SHAPE, LATENT = (4, 4, 1), 2


def main() -> None:
    """Writes format_<N>/, which must not be there."""
    keras.utils.set_random_seed(0)
    likelihood = distributions.Bernoulli()
    parts = Parts(
        networks.mlp_encoder(SHAPE, LATENT, hidden=(8,)),
        networks.mlp_decoder(LATENT, likelihood.parameter_shapes(SHAPE), hidden=(8,)),
        prior=distributions.MixtureOfNormals(LATENT, components=3),
        posterior=distributions.DiagonalNormal(),
        likelihood=likelihood,
    )
    write_bundle(
        parts,
        preprocessing={"scale": 1 / 255, "value_range": [0.0, 1.0]},
        directory=Path(__file__).with_name(f"format_{manifest.FORMAT_VERSION}"),
        options=Options(whole=True, importance_samples=2),
    )


if __name__ == "__main__":
    main()
