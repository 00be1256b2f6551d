"""Runs of codes: a first VAE is trained in the run's own directory, a second one on its codes."""

import dataclasses
from typing import Any

import numpy as np

from vae_tf import plots
from vae_tf.data.codes import CodeData
from vae_tf.distributions import GaussianPixelScale, Likelihood
from vae_tf.models import VAE
from vae_tf.runs.config import FURTHER, TrainConfig
from vae_tf.runs.directory import MODEL_SHA256, RunDirectory, config_of, run_path
from vae_tf.runs.images import SIDE, Images, styles
from vae_tf.runs.kind import Kind
from vae_tf.runs.suited import LEARNING_RATE
from vae_tf.runs.trained import load_run

LATENT_DIM, HIDDEN = 50, (500,)
OF_LABELS = ("labels", "label_seed", "labelled_share", "classifier_weight")


def first_stage(config: TrainConfig) -> TrainConfig:
    """Returns the settings of the VAE whose codes a run is of.

    Once it is trained it goes no further, whatever the second stage does.
    """
    run = RunDirectory(RunDirectory(run_path(config)).codes)
    # Without labels, whatever is said of them decides nothing
    of_labels = {name: getattr(TrainConfig, name) for name in OF_LABELS}
    own: dict[str, Any] = {}
    if config.resume and run.read_report():
        before = config_of(run.read())
        own = {name: getattr(before, name) for name in FURTHER}
    return dataclasses.replace(
        config,
        **own,
        **of_labels,
        codes=0,
        latent_dim=config.codes,
        hidden="auto",
        prior="normal",
        learning_rate="auto",
        importance_samples=0,
        run_dir=str(run.path),
        export=None,
        profile=False,
    )


class Codes(Kind):
    """A run's codes.

    Args:
        codes: in their splits.
        vae: the model that made them, and makes images of them.
    """

    def __init__(self, codes: CodeData, vae: VAE):
        self.data, self.vae = codes, vae

    @classmethod
    def load(cls, config: TrainConfig) -> "Codes":
        """Returns the codes of the settings' images by the model of the first stage.

        Raises:
            RunError: it is not trained yet.
        """
        run = RunDirectory(RunDirectory(run_path(config)).codes)
        vae, _ = load_run(run.path)

        def encode(x: np.ndarray) -> np.ndarray:
            qz = vae.encode(x)
            return np.stack([qz.mean(), qz.stddev()], 1)

        origin = str((run.read_report() or {}).get(MODEL_SHA256))
        return cls(CodeData.of(Images.load(config).data, encode, origin), vae)

    def likelihood(self, config: TrainConfig) -> Likelihood:
        """Returns N(mean(z, y), diag(scale(z, y)^2))."""
        return GaussianPixelScale()

    def chosen(self, config: TrainConfig) -> dict[str, tuple[Any, str]]:
        """Returns what suits codes."""
        suits = {
            "network": "mlp",
            "latent_dim": LATENT_DIM,
            "hidden": HIDDEN,
            "learning_rate": LEARNING_RATE,
        }
        open_ = {name: value for name, value in suits.items() if getattr(config, name) == "auto"}
        return {name: (value, "for codes") for name, value in open_.items()}

    def figures(self, vae: VAE) -> dict[str, Any]:
        """Returns images of every class in the same styles."""
        classes = np.arange(self.data.num_classes)
        codes = styles(vae, classes, SIDE)
        images = self.vae.decode(codes.reshape(-1, *self.data.shape)).mean().numpy()
        title = "E[x|z, label]: a row a label, a column a style z"
        grid = images.reshape(len(classes), SIDE, *images.shape[1:])
        return {"samples": plots.image_grid(grid, title)}
