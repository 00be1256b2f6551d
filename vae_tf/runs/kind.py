"""What a run asks its data, whatever they are: images, rows of a table, texts, series.

A new kind of data is one more class here below, named in `runs.build.kind_of`; training, reports
and pictures know nothing of pixels or columns.
"""

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from vae_tf.data.mixing import Mixture
from vae_tf.distributions import Likelihood
from vae_tf.evaluation import LogLikelihood
from vae_tf.models import VAE
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.directory import RunDirectory


class Kind(abc.ABC):
    """The data of a run, and what follows from their kind.

    Attributes:
        data: `ImageData`, `TableData`, `SequenceData`: splits, `shape`, `unit`, `describe()`.
        least_steps: of a training of so few examples that its usual epochs have fewer.
    """

    data: Any
    least_steps: ClassVar[int] = 6_000

    @abc.abstractmethod
    def likelihood(self, config: TrainConfig) -> Likelihood:
        """Returns the likelihood of the settings, none of which is `auto`."""

    @abc.abstractmethod
    def figures(self, vae: VAE) -> dict[str, Any]:
        """Returns the figures of a trained model, by name."""

    def chosen(self, config: TrainConfig) -> dict[str, tuple[Any, str]]:
        """Returns the settings that this kind of data decides where they are `auto`.

        Returns:
            For the name of each the value, and the reason in words.
        """
        return {}

    def caution(self, config: TrainConfig) -> str:
        """Returns what is to be said of settings that were asked for; nothing if all is well."""
        return ""

    def encoder_options(self) -> Mapping[str, Any]:
        """Returns arguments of the encoder's builder beyond the settings."""
        return {}

    def networks(
        self, config: TrainConfig, heads: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> tuple[keras.Model, keras.Model] | None:
        """Returns encoder and decoder where this kind of data has its own; else None.

        Args:
            config: the settings, none of which is `auto`.
            heads: what the posterior needs of the encoder, name -> shape.
            outputs: what the likelihood needs of the decoder.
        """
        return None

    def model(self, *args: Any, **kwargs: Any) -> VAE:
        """Returns the model for this kind of data, of the arguments of a VAE."""
        return VAE(*args, **kwargs)

    def notes(self) -> list[str]:
        """Returns what a user should know of how the data were read."""
        return []

    def keep(self, run: RunDirectory) -> None:  # noqa: B027 (images keep nothing)
        """Writes what the trained model is of no use without."""

    def show(self, vae: VAE, run: RunDirectory) -> None:  # noqa: B027 (images have pictures)
        """Writes what shows a trained model beside its pictures."""

    def callbacks(self, run: RunDirectory, config: TrainConfig) -> list[keras.callbacks.Callback]:
        """Returns callbacks that show this kind of data during training."""
        return []

    def training_batches(self, config: TrainConfig, start_epoch: int) -> tf.data.Dataset:
        """Returns the endless batches of a training, from an epoch on."""
        train, size = self.data.train, config.number("batch_size")
        if config.labels:
            return train.mixed_batches(size, config.labelled_share, config.seed, start_epoch)
        return train.training_batches(size, config.seed, start_epoch, config.conditional)

    def steps_per_epoch(self, config: TrainConfig) -> int:
        """Returns how many of them are an epoch."""
        train, size = self.data.train, config.number("batch_size")
        if config.labels:
            return Mixture(train.labels, size, config.labelled_share).steps
        return train.steps_per_epoch(size)

    def in_users_units(self, report: dict, likelihood: LogLikelihood | None) -> dict:
        """Returns the report with densities of what the user gave.

        Args:
            report: with densities of what the model is fed.
            likelihood: of the test examples, None if it was not asked for.
        """
        return report
