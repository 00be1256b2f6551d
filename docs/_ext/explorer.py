"""Trains two latents of the digits for some seconds, and writes the browser page of that model.

    python docs/_ext/explorer.py docs/_build/extra/_static/explorer

The page is made once; `make clean` forgets it. Without Node.js's npm, which brings LiteRT.js,
there is none, and docs/explorer.md says so.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def runtime() -> Path | None:
    """Returns the `node_modules` with LiteRT.js, installed if need be; None without npm."""
    modules = ROOT / "export/web/node_modules"
    if not (modules / "@litertjs").is_dir():
        if shutil.which("npm") is None:
            return None
        command = ["npm", "ci", "--prefix", str(ROOT / "export/web"), "--loglevel=error"]
        subprocess.run(command, check=True)
    return modules


def write(target: Path, modules: Path) -> None:
    """Writes the page to `target`."""
    import keras
    import numpy as np
    from sklearn.datasets import load_digits

    import vae_tf
    from vae_tf.exporting.web.folder import write_web

    keras.utils.set_random_seed(0)
    x = (load_digits().images[..., None] / 16).astype("float32")
    seen = (np.random.default_rng(0).random(x.shape) < x).astype("float32")
    likelihood = vae_tf.likelihoods.Bernoulli()
    encoder = vae_tf.networks.mlp_encoder((8, 8, 1), latent_dim=2, hidden=(256, 256))
    outputs = likelihood.parameter_shapes((8, 8, 1))
    decoder = vae_tf.networks.mlp_decoder(2, outputs, hidden=(256, 256))
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood)
    vae.compile(keras.optimizers.Adam(1e-3))
    vae.fit(seen[:1500], batch_size=50, epochs=60, verbose=0)
    found = vae.evaluate(seen[1500:], verbose=0, return_dict=True)
    with tempfile.TemporaryDirectory() as scratch:
        bundle = vae_tf.export(
            vae,
            f"{scratch}/digits",
            options=vae_tf.exporting.Options(),
            provenance={"data": {"name": "digits"}, "report": {"test": {"elbo": found["elbo"]}}},
        )
        write_web(bundle.directory, target, runtime=modules)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    if not (target / "index.html").exists():
        modules = runtime()
        if modules is None:
            print("Node.js's npm was not found: the site has no explorer, and says so.")
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            write(target, modules)
