"""A conditional VAE: it draws the digit you ask for. Needs no data: digits come with scikit-learn.

python examples/conditional.py 3 1 4 1 5
python examples/conditional.py 0 1 2 --file faces.npz   # x [N, H, W] and classes y [N]
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import vae_tf

LATENT_DIM, STYLES = 8, 4


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Draws the classes that are asked for.")
    parser.add_argument("classes", nargs="*", type=int, default=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    parser.add_argument("--file", help="an .npz file with images x and classes y")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--output", type=Path, default=Path("artefacts/conditional"))
    asked = parser.parse_args(arguments)

    name = f"array:{asked.file}" if asked.file else "digits"
    data = vae_tf.data.load(name, binarization="static")
    train, test = [(split.array(), split.labels) for split in (data.train, data.test)]

    likelihood = vae_tf.likelihoods.Bernoulli()
    outputs = likelihood.parameter_shapes(data.shape)
    given = data.num_classes  # both networks are told the class
    encoder = vae_tf.networks.mlp_encoder(data.shape, LATENT_DIM, (128,), condition=given)
    decoder = vae_tf.networks.mlp_decoder(LATENT_DIM, outputs, (128,), condition=given)

    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood)
    vae.compile(optimizer="adam")
    vae.fit(*train, batch_size=50, epochs=asked.epochs, verbose=2)

    result = vae_tf.log_likelihood(vae, test, num_samples=100)
    print(f"test NLL given the class: {result.nll:.2f} ± {result.stderr:.2f} nats")

    # Each row is one z, so one style, decoded as every class
    z = vae.prior.distribution().sample(STYLES, seed=[0, 0])
    classes = np.tile(asked.classes, STYLES)
    images = vae.decode(np.repeat(z, len(asked.classes), axis=0), condition=classes).mean().numpy()
    figure = vae_tf.plots.image_grid(images, "one style a row", columns=len(asked.classes))

    asked.output.mkdir(parents=True, exist_ok=True)
    figure.savefig(asked.output / "conditional.png")
    vae.save(asked.output / "conditional.keras")
    print(f"conditional.png and conditional.keras are in {asked.output}")


if __name__ == "__main__":
    main()
