"""From training to a phone: train, export, and run the decoder's .tflite file with LiteRT alone.

python examples/phone_decoder.py

The file and the calls are those of an app; see docs/shipping.md for Kotlin, Java and Swift.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

import vae_tf
from vae_tf.exporting import Options

LATENT_DIM = 4
SHADES = " .:-=+*#"


def draw(file: Path, seed: int) -> np.ndarray:
    """Returns a new image [8, 8], drawn by the file from the seed, without TensorFlow."""
    generate = Interpreter(str(file)).get_signature_runner("generate")
    answer = generate(seed=np.array([seed], np.int32), temperature=np.ones(1, np.float32))
    return np.array(answer["image"][0, ..., 0])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Trains, exports and runs a decoder.")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=7, help="one seed is one picture")
    parser.add_argument("--output", type=Path, default=Path("artefacts/phone"))
    asked = parser.parse_args(arguments)

    x = vae_tf.data.load("digits", binarization="static")
    likelihood = vae_tf.likelihoods.Bernoulli()
    outputs = likelihood.parameter_shapes(x.shape)
    encoder = vae_tf.networks.mlp_encoder(x.shape, LATENT_DIM, (64,))
    decoder = vae_tf.networks.mlp_decoder(LATENT_DIM, outputs, (64,))
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood)
    vae.compile(optimizer="adam")
    vae.fit(x.train.array(), batch_size=50, epochs=asked.epochs, verbose=2)

    # Every file has run and agreed with Keras before it appears. Options(precisions=("int8",))
    # also makes smaller files, and says what each costs in nats
    bundle = vae_tf.export(vae, asked.output, options=Options())
    file = bundle.decoder_tflite
    assert file is not None
    print(f"{file}: {file.stat().st_size:,} bytes")

    for row in draw(file, asked.seed):
        print("".join(2 * SHADES[int(p * (len(SHADES) - 1))] for p in row))


if __name__ == "__main__":
    main()
