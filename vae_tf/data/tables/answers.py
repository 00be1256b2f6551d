"""What a model of a table says of rows: DataFrames in the user's units and words."""

import abc
from typing import Any

import tensorflow as tf

from vae_tf.checks import whole
from vae_tf.data.batch import Batch


class Answers(abc.ABC):
    """Samples, reconstructions and imputations, by `encode` and `decode` of a table."""

    names: Any  # of the columns that x has a number for

    @abc.abstractmethod
    def encode(self, df, unknown: str = "error") -> Batch:
        """Returns rows as numbers x [N, D], and their mask."""

    @abc.abstractmethod
    def decode(self, x, mask=None, index=None):
        """Returns a DataFrame of numbers x [N, D]."""

    def sample(self, vae, num_samples: int, seed: int | None = None):
        """Returns draws x ~ p(x|z), z ~ p(z), as a DataFrame in the user's units and words.

        `decode(vae.sample(n))` has E[x|z] in their place, with less spread than the data.

        Args:
            vae: a model of this table.
            num_samples: number of rows.
            seed: seed of the draws; if None, the model's random stream.
        """
        rows = whole("num_samples", num_samples, least=0)
        key = vae.next_seed() if seed is None else tf.constant([seed, 0], tf.int32)
        of_z, of_x = tf.unstack(tf.random.experimental.stateless_split(key, 2))
        z = vae.parts.p().sample(rows, seed=of_z)
        return self.decode(vae.decode(z).sample(seed=of_x))

    def reconstruct(self, vae, df, unknown: str = "error"):
        """Returns the model's reconstruction of each row, E[x|z] at the mean of z, as a DataFrame.

        Args:
            vae: a model of this table.
            df: rows; their index is kept.
            unknown: as for `encode`.
        """
        return self.decode(vae.reconstruct(self.encode(df, unknown)), index=df.index)

    def impute(self, vae, df, *, num_imputations: int = 0, unknown: str = "error", **options):
        """Returns the rows as a DataFrame with missing values filled in and all others unchanged.

        A missing number becomes its mean given the rest of the row, and a missing word the most
        probable one. With `num_imputations` there is a list of so many completed tables, whose
        spread tells the model's uncertainty.

        Args:
            vae: a model of this table.
            df: rows; their index and all their columns are kept.
            num_imputations: number of tables of draws; 0 for one table of expected values.
            unknown: as for `encode`.
            options: options of `vae.impute`.
        """
        rows = self.encode(df, unknown)
        answer = vae.impute(rows, num_imputations=num_imputations, **options)
        if num_imputations:
            return [self._filled(df, rows.mask, x) for x in answer.draws]
        return self._filled(df, rows.mask, answer.x)

    def _filled(self, df, mask, x):
        """Returns `df` with what is not in the mask taken from numbers x [N, D]."""
        filled, frame = self.decode(x, index=df.index), df.copy()
        for name, known in zip(self.names, () if mask is None else mask.T, strict=mask is not None):
            frame[name] = filled[name].where(known == 0, df[name])
        return frame
