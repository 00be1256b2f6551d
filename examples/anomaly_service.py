"""A web service that flags unusual rows of a table, from a bundle. Needs `vae_tf[tables]`.

python examples/anomaly_service.py  # trains and exports at the first start
curl localhost:8000 -d '[{"heat": 61, "vibration": 3.4, "mode": "fast"}]'
"""

import argparse
import json
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf

import vae_tf
from vae_tf.exporting import Options


def publish(directory: Path, epochs: int) -> None:
    """Trains on made-up sensors, and writes the bundle with the table beside it."""
    rng = np.random.default_rng(0)
    heat = rng.normal(60, 8, 3000)
    vibration = np.exp(0.02 * heat + rng.normal(0, 0.1, heat.size))
    mode = np.where(heat + rng.normal(0, 2, heat.size) > 60, "fast", "slow")
    frame = pd.DataFrame({"heat": heat, "vibration": vibration, "mode": mode})
    validation, train = frame[:800], frame[800:]  # the threshold is calibrated on the former
    table = vae_tf.data.Table.from_frame(train)
    outputs = table.likelihood().parameter_shapes(table.shape)
    encoder = vae_tf.networks.mlp_encoder(table.shape, 3, (64,), features=table.features)
    decoder = vae_tf.networks.mlp_decoder(3, outputs, (64,), shortcut=True)
    vae = vae_tf.VAE(encoder, decoder, likelihood=table.likelihood())
    vae.compile(optimizer="adam")
    vae.fit(table.encode(train), batch_size=50, epochs=epochs, verbose=2)
    options = Options(whole=True, only="savedmodel", false_alarm_rate=0.01)
    vae_tf.export(vae, directory, validation=table.encode(validation).x, options=options)
    table.save(directory / "table.json")


def server(directory: Path, port: int) -> ThreadingHTTPServer:
    """Returns a server that answers rows with -log p(x) in nats and whether that is unusual."""
    threshold = json.loads((directory / "manifest.json").read_text())["anomaly"]["threshold"]
    table = vae_tf.data.Table.load(directory / "table.json")
    model = tf.saved_model.load(str(directory / "vae/1"))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if not isinstance(rows, list):
                    raise ValueError("Send a JSON list of rows, each an object with all columns")
                x = tf.constant(table.encode(pd.DataFrame(rows)).x)
                answer = model.signatures["score"](image=x, seed=tf.range(len(rows)))
                nll = answer["nll"].numpy().tolist()
                status, told = 200, [{"nll": n, "anomaly": n > threshold} for n in nll]
            except (ValueError, TypeError) as error:  # the package's refusals are ValueErrors
                status, told = 400, [{"error": str(error)}]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

    return ThreadingHTTPServer(("localhost", port), Handler)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Serves anomaly scores of rows.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--bundle", type=Path, default=Path("artefacts/machines"))
    asked = parser.parse_args(arguments)
    if not asked.bundle.exists():
        publish(asked.bundle, asked.epochs)
    print(f"listening on http://localhost:{asked.port}", flush=True)
    server(asked.bundle, asked.port).serve_forever()


if __name__ == "__main__":
    main()
