"""Runs of real-valued series: their scales, networks and pictures."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from vae_tf import plots
from vae_tf.data.sequences.sequence_data import SequenceData
from vae_tf.data.sequences.series_data import load_series
from vae_tf.distributions import GaussianLearnedScale, GaussianPixelScale, Likelihood
from vae_tf.evaluation import LogLikelihood
from vae_tf.models import VAE
from vae_tf.networks import gru_decoder, gru_encoder
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.directory import RunDirectory
from vae_tf.runs.kind import Kind
from vae_tf.runs.suited import LEARNING_RATE

UNITS, LATENT_DIM, SHOWN = (64,), 8, 6


class SeriesKind(Kind):
    """A run's series.

    Args:
        data: the series in their splits.
    """

    def __init__(self, data: SequenceData):
        self.data = data

    @classmethod
    def load(cls, config: TrainConfig) -> "SeriesKind":
        """Returns the series of the settings' file."""
        return cls(load_series(config.dataset.partition(":")[2], seed=config.seed))

    def likelihood(self, config: TrainConfig) -> Likelihood:
        """Returns one whose smallest scale is that of the rounding of the training series."""
        train = self.data.train
        kinds = {"gaussian-pixel": GaussianPixelScale, "gaussian-learned": GaussianLearnedScale}
        return kinds[config.likelihood].from_data(train.array(), train.mask())

    def chosen(self, config: TrainConfig) -> dict[str, tuple[Any, str]]:
        """Returns networks for series; the recipe `series` has all other settings."""
        found: dict[str, tuple[Any, str]] = {
            "network": ("gru", "for series"),
            "hidden": (UNITS, "for series"),
            "latent_dim": (LATENT_DIM, "for series"),
            "learning_rate": (LEARNING_RATE, "for series"),
            "likelihood": ("gaussian-learned", "for series"),
        }
        return {name: value for name, value in found.items() if getattr(config, name) == "auto"}

    def networks(
        self, config: TrainConfig, heads: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> tuple[keras.Model, keras.Model]:
        """Returns an encoder that sees what is missing, and a decoder of z alone.

        Given z the steps are independent, so that any of them may be missing, and each has a
        surprisal of its own.
        """
        assert not isinstance(config.hidden, str)  # by now the data have decided
        size, shape, seed = config.number("latent_dim"), self.data.shape, 2 * config.seed
        encoder = gru_encoder(shape, size, config.hidden, outputs=heads, seed=seed)
        widths, own = config.hidden[::-1], {"event_shape": shape, "past": False}
        return encoder, gru_decoder(size, outputs, widths, seed=seed + 1, **own)

    def keep(self, run: RunDirectory) -> None:
        """Writes series.json, which says what the model's numbers mean."""
        self.data.form.save(run.series)

    def in_users_units(self, report: dict, likelihood: LogLikelihood | None) -> dict:
        """Returns the report with densities of values in the user's units.

        Args:
            report: in the model's units.
            likelihood: of the test series, None if it was not asked for.
        """
        form, data = self.data.form, self.data
        test = form.log_jacobian(data.test.mask())
        shift, own = float(np.mean(test)), dict(report["test"])
        own |= {"elbo": own["elbo"] + shift, "nll": own["nll"] - shift}
        if likelihood is not None:
            moved = likelihood.per_example + test
            own["importance_weighted_nll"] = -float(np.mean(moved))
            if len(moved) > 1:
                stderr = float(np.std(moved, ddof=1) / np.sqrt(len(moved)))
                own["importance_weighted_nll_stderr"] = stderr
        best = report["validation"]["elbo"]
        best += float(np.mean(form.log_jacobian(data.validation.mask())))
        told = "densities of values in the units of the file; metrics.csv has those of scaled ones"
        units = {"densities": told, "log_jacobian": shift}
        return {**report, "validation": {"elbo": best}, "test": own, "units": units}

    def figures(self, vae: VAE) -> dict[str, Any]:
        """Returns test series beside their reconstructions."""
        data = self.data
        x, mask = data.test.array(SHOWN), data.test.mask()[:SHOWN]
        mean = np.asarray(vae.reconstruct({"x": x, "mask": mask}))
        decode = data.form.decode
        shown = np.where(mask > 0, decode(x), np.nan)
        return {"reconstructions": plots.series(shown, decode(mean))}
