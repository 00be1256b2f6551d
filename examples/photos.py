"""A VAE of pictures: your own folder of them, or the digits that come with scikit-learn.

python examples/photos.py
python examples/photos.py my_photos --image-size 64 64
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import vae_tf

LATENT_DIM = 16


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Trains a VAE of pictures.")
    parser.add_argument("folder", nargs="?", help="of PNG or JPEG files; digits if not given")
    parser.add_argument("--image-size", nargs=2, type=int, metavar=("H", "W"))
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--output", type=Path, default=Path("artefacts/photos"))
    asked = parser.parse_args(arguments)

    size = tuple(asked.image_size) if asked.image_size else None
    name = f"folder:{asked.folder}" if asked.folder else "digits"
    data = vae_tf.data.load(name, image_size=size)  # grey values and colours in [0, 1]
    train, test = data.train.array(), data.test.array()

    # One scale of all pixels, learned. It starts at theirs
    likelihood = vae_tf.likelihoods.GaussianLearnedScale(float(np.std(train)))
    encoder = vae_tf.networks.conv_encoder(data.shape, LATENT_DIM)
    outputs = likelihood.parameter_shapes(data.shape)
    decoder = vae_tf.networks.conv_decoder(LATENT_DIM, outputs)

    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood)
    vae.compile(optimizer="adam")
    best = vae_tf.callbacks.EarlyStopping(patience=10, restore_best_weights=True)
    validation = data.validation.array()
    vae.fit(
        train,
        batch_size=32,
        epochs=asked.epochs,
        validation_data=validation,
        callbacks=[best],
        verbose=2,
    )

    result = vae_tf.log_likelihood(vae, test, num_samples=100)
    print(f"test NLL {result.nll:.1f} ± {result.stderr:.1f} nats")

    asked.output.mkdir(parents=True, exist_ok=True)
    drawn = vae.sample(48, seed=0).numpy()
    vae_tf.plots.image_grid(drawn, "new pictures", columns=12).savefig(asked.output / "samples.png")
    seen = vae.reconstruct(test[:24]).numpy()
    figure = vae_tf.plots.reconstructions(test[:24], seen)
    figure.savefig(asked.output / "reconstructions.png")
    vae.save(asked.output / "photos.keras")
    print(f"samples.png, reconstructions.png and photos.keras are in {asked.output}")


if __name__ == "__main__":
    main()
