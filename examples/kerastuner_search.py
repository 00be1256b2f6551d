"""A search for latents, width and learning rate with KerasTuner. Needs `pip install keras-tuner`.

python examples/kerastuner_search.py --trials 20

The objective is the ELBO of the validation images, which beta does not enter: models whose KL term
is weighted differently can be compared by it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import keras
import keras_tuner

import vae_tf


def build(hp: keras_tuner.HyperParameters, shape: tuple[int, ...]) -> vae_tf.VAE:
    latent_dim = hp.Int("latent_dim", 2, 32, step=2, sampling="linear")
    hidden = (hp.Int("hidden", 32, 256, step=32),)
    likelihood = vae_tf.likelihoods.Bernoulli()
    outputs = likelihood.parameter_shapes(shape)
    encoder = vae_tf.networks.mlp_encoder(shape, latent_dim, hidden)
    decoder = vae_tf.networks.mlp_decoder(latent_dim, outputs, hidden)
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood)
    rate = hp.Float("learning_rate", 3e-4, 1e-2, sampling="log")
    vae.compile(optimizer=keras.optimizers.Adam(rate))
    vae.optimizer.build(vae.trainable_variables)  # its state is saved and loaded with the weights
    return vae


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Searches settings of a VAE of digits.")
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--output", type=Path, default=Path("artefacts/search"))
    asked = parser.parse_args(arguments)

    data = vae_tf.data.load("digits", binarization="static")
    tuner = keras_tuner.BayesianOptimization(
        lambda hp: build(hp, data.shape),
        objective=keras_tuner.Objective("val_elbo", "max"),
        max_trials=asked.trials,
        seed=0,
        directory=asked.output,
        project_name="digits",
        overwrite=True,
    )
    tuner.search(
        data.train.array(),
        batch_size=50,
        epochs=asked.epochs,
        validation_data=data.validation.array(),
        callbacks=[vae_tf.callbacks.EarlyStopping(patience=5)],
        verbose=0,
    )
    best = tuner.oracle.get_best_trials(1)[0]
    settings = {name: best.hyperparameters.get(name) for name in best.hyperparameters.values}
    print(f"best validation ELBO {best.score:.2f} nats, with {settings}")

    vae = tuner.get_best_models(1)[0]
    result = vae_tf.log_likelihood(vae, data.test.array(), num_samples=100)
    print(f"test NLL {result.nll:.2f} ± {result.stderr:.2f} nats")


if __name__ == "__main__":
    main()
