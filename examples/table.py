"""A VAE of a table: your own CSV file, or a generated one of flats. Needs `vae_tf[tables]`.

python examples/table.py
python examples/table.py wine.csv
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd

import vae_tf
from vae_tf.data import Table


def flats(rows: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Returns made-up flats: real and positive numbers, counts and words that depend on another."""
    rng = np.random.default_rng(seed)
    rooms = 1 + rng.poisson(2, rows)
    area = np.exp(np.log(25 * rooms) + rng.normal(0, 0.2, rows))
    central = rng.random(rows) < 0.3
    price = area * np.where(central, 15.0, 9.0) * np.exp(rng.normal(0, 0.1, rows))
    where = np.where(central, "centre", np.where(rng.random(rows) < 0.5, "north", "south"))
    return pd.DataFrame({"rooms": rooms, "area": area, "rent": price, "where": where})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Trains a VAE of a table.")
    parser.add_argument("file", nargs="?", help="a CSV file; made-up flats if not given")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--output", type=Path, default=Path("artefacts/table"))
    asked = parser.parse_args(arguments)

    frame = pd.read_csv(asked.file) if asked.file else flats()
    frame = frame.sample(frac=1, random_state=0)
    test, train = frame[: len(frame) // 10], frame[len(frame) // 10 :]

    table = Table.from_frame(train)  # `kinds={"rooms": "count"}` where you know better
    print(table)
    latent_dim = min(32, max(2, len(table.names)))
    likelihood = table.likelihood()
    outputs = likelihood.parameter_shapes(table.shape)
    encoder = vae_tf.networks.mlp_encoder(
        table.shape, latent_dim, (128,), features=table.features, mask=table.has_missing
    )
    decoder = vae_tf.networks.mlp_decoder(latent_dim, outputs, (128,), shortcut=True)

    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood)
    vae.compile(optimizer=keras.optimizers.Adam(3e-3))
    vae.fit(table.encode(train), batch_size=50, epochs=asked.epochs, verbose=2)

    rows = table.encode(test, unknown="missing")
    result = vae_tf.log_likelihood(vae, rows, num_samples=100)
    own = result.per_example + table.log_jacobian(rows.x, rows.mask)
    print(f"NLL {-np.mean(own):.2f} nats a row, in the units of the table")
    print(table.sample(vae, 5, seed=0))  # new rows

    asked.output.mkdir(parents=True, exist_ok=True)
    vae.save(asked.output / "table.keras")
    table.save(asked.output / "table.json")
    print(f"table.keras and table.json are in {asked.output}")


if __name__ == "__main__":
    main()
