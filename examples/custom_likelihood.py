"""A likelihood of your own: the Student t, whose tails forgive outliers. It is trained and saved.

python examples/custom_likelihood.py
python examples/custom_likelihood.py rows.npy   # numbers [N, D]
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

import vae_tf

LATENT_DIM = 2


@keras.saving.register_keras_serializable(package="examples")
class StudentT(vae_tf.likelihoods.Likelihood):
    """p(x|z) = prod_i t(x_i; loc_i, scale) with `df` degrees of freedom."""

    parameters = ("loc",)  # outputs of the decoder, each shaped like the data

    def __init__(self, df: float = 3.0, scale: float = 0.3, **kwargs: Any):
        super().__init__(**kwargs)
        self.df, self.scale = df, scale

    def distribution(self, params: Mapping[str, tf.Tensor]) -> tfd.Distribution:
        loc = params["loc"]
        return tfd.Independent(tfd.StudentT(self.df, loc, self.scale), len(loc.shape) - 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "df": self.df, "scale": self.scale}


def ring(rows: int = 2000, seed: int = 0) -> np.ndarray:
    """Returns points [N, 2] about a circle, one in twenty of them far off."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, rows)
    noise = rng.normal(0, 0.1, (rows, 2)) * np.where(rng.random((rows, 1)) < 0.05, 20, 1)
    return (np.stack([np.cos(angle), np.sin(angle)], 1) + noise).astype("float32")


def trained(x: np.ndarray, likelihood: vae_tf.likelihoods.Likelihood, epochs: int) -> vae_tf.VAE:
    shape = x.shape[1:]
    encoder = vae_tf.networks.mlp_encoder(shape, LATENT_DIM, (64,))
    decoder = vae_tf.networks.mlp_decoder(LATENT_DIM, likelihood.parameter_shapes(shape), (64,))
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood)
    vae.compile(optimizer=keras.optimizers.Adam(3e-3))
    vae.fit(x, batch_size=50, epochs=epochs, verbose=0)
    return vae


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compares a Student t with a Gaussian.")
    parser.add_argument("file", nargs="?", help="an .npy file of rows; a made-up ring if not given")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--output", type=Path, default=Path("artefacts/custom_likelihood"))
    asked = parser.parse_args(arguments)

    x = np.load(asked.file).astype("float32") if asked.file else ring()
    train, test = x[: -len(x) // 10], x[-len(x) // 10 :]
    for likelihood in (vae_tf.likelihoods.GaussianLearnedScale(), StudentT()):
        vae = trained(train, likelihood, asked.epochs)
        result = vae_tf.log_likelihood(vae, test, num_samples=200)
        print(f"{type(likelihood).__name__}: NLL {result.nll:.2f} ± {result.stderr:.2f} nats")
    print(vae_tf.conformance.check(likelihood=StudentT(), questions=["density", "draws", "save"]))

    asked.output.mkdir(parents=True, exist_ok=True)
    vae.save(asked.output / "student_t.keras")  # load it where StudentT has been imported


if __name__ == "__main__":
    main()
