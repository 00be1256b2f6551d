"""Questions about single elements: what is missing, and which of those observed are surprising."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np

from vae_tf.checks import whole
from vae_tf.data.batch import Batch, as_array, parse
from vae_tf.data.missing import observed
from vae_tf.errors import DataError
from vae_tf.models.door import Door
from vae_tf.models.imputation import Imputation, Imputer, warn_of_few
from vae_tf.models.inputs import is_stream
from vae_tf.models.training import Training


class Gaps(Training):
    """A model that is asked about elements of examples."""

    def impute(
        self,
        data,
        mask=None,
        num_samples: int = 1000,
        *,
        num_imputations: int = 0,
        method: Literal["importance", "gibbs"] = "importance",
        condition=None,
        batch_size: int = 128,
        seed: int = 0,
    ) -> Imputation:
        """Returns the examples with their missing values filled in by the model.

        A value is missing where the mask says so, and where it is NaN. Single imputation is the
        mean E[x_missing|x_observed], by importance weights w = p(x_observed, z) / q(z|x_observed)
        (Mattei and Frellsen 2019, equation 12). Multiple imputation draws from
        p(x_missing|x_observed), so that the spread of the draws tells the uncertainty; it chooses z
        by the weights and draws x from p(x|z).

        An example without any observed element is filled from the prior.

        Args:
            data: examples in any form.
            mask: 1 where x was observed, in place of the one among the data.
            num_samples: K, the number of draws of z for each example, or for "gibbs" of a chain's
                rounds.
            num_imputations: M, the number of completed draws of the data; 100 are enough for
                intervals.
            method: "importance"; or "gibbs" for chains z ~ q(z|x), x_missing ~ p(x|z)
                (pseudo-Gibbs, Rezende et al. 2014, appendix F), `num_imputations` of them, and at
                least one. Chains show the encoder complete examples, which suits a model trained on
                such, and are only as exact as q(z|x).
            condition: a condition in place of that of the data.
            batch_size: examples at a time, for arrays. The numbers do not depend on it.
            seed: seed of the draws, which belong to the examples in the order of the data.

        Raises:
            DataError: data that cannot be used.
            ConfigError: the decoder sees x, the likelihood does not know single elements, or a
                setting is invalid.

        Example:
            >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
            >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
            >>> vae = vae_tf.VAE(encoder, decoder)
            >>> x = np.ones((3, 8))
            >>> x[:, :2] = np.nan  # the first two numbers are missing
            >>> filled = vae.impute(x, num_samples=100)
            >>> filled.x.shape, bool(np.isnan(filled.x).any()), bool((filled.x[:, 2:] == 1).all())
            ((3, 8), False, True)
        """
        num_samples = whole("num_samples", num_samples)
        num_imputations = whole("num_imputations", num_imputations, least=0)
        door, found, first = dataclasses.replace(self.door, missing="nan"), [], 0
        imputer = None
        for batch in self._asked(door, data, mask, condition, batch_size, "data to impute"):
            if imputer is None:
                shape = np.shape(batch.x)[1:]
                settings = (num_samples, num_imputations, method, whole("seed", seed, least=0))
                imputer = Imputer(self.generator, shape, *settings)
            known = observed(as_array(batch.mask, "mask"), np.shape(batch.x))
            found.append(imputer.imputed(batch, known, first))
            first += len(batch.x)
        _check_some(found)
        draws = [one.draws for one in found if one.draws is not None]
        answer = Imputation(
            np.concatenate([one.x for one in found]),
            np.concatenate([one.mask for one in found]),
            np.concatenate(draws, 1) if draws else None,
            np.concatenate([one.effective_sample_size for one in found]),
        )
        incomplete = ~answer.mask.reshape(len(answer.mask), -1).all(1)
        warn_of_few(answer.effective_sample_size[incomplete], num_samples)
        return answer

    def surprisal(
        self,
        data,
        mask=None,
        num_samples: int = 1000,
        *,
        condition=None,
        batch_size: int = 128,
        seed: int = 0,
    ) -> np.ndarray:
        """Returns the surprisal of each element, -log p(x_i|x) in nats, [N, *event].

        It is -log E[p(x_i|z)], the mean being over p(z|x) by importance weights. A table gets a
        number for each cell, and images get a map of anomalies. The z that judges an element has
        seen it too, so that an element is surprising if no z explains it together with its
        neighbours. Missing elements have NaN. An axis has size 1 where elements are only known
        together, as the colours of a pixel are.

        Args:
            data: examples in any form.
            mask: 1 where x was observed, in place of the one among the data.
            num_samples: K, draws of z for each example.
            condition: a condition in place of that of the data.
            batch_size: examples at a time, for arrays. The numbers do not depend on it.
            seed: seed of the draws, which belong to the examples in the order of the data.

        Raises:
            DataError: data that cannot be used.
            ConfigError: the likelihood does not know the density of single elements.

        Example:
            >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
            >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
            >>> vae = vae_tf.VAE(encoder, decoder)
            >>> vae.surprisal(np.eye(8), num_samples=100).shape  # nats for each number
            (8, 8)
        """
        num_samples, seed = whole("num_samples", num_samples), whole("seed", seed, least=0)
        found, first = [], 0
        for batch in self._asked(self.door, data, mask, condition, batch_size, "data"):
            tensors = Batch(batch.x, batch.mask, batch.condition).tensors()
            average = self.generator.weighing.log_means(tensors, num_samples, seed, first)
            found.append(-average.value)
            first += len(batch.x)
        _check_some(found)
        return np.concatenate(found)

    def _asked(
        self, door: Door, data, mask, condition, batch_size: int, what: str
    ) -> Iterator[Batch]:
        """Yields the batches of what a method was called with, looked at."""
        batch_size = whole("batch_size", batch_size)
        if is_stream(data):
            if mask is not None:
                fix = "Let its elements be dicts with the keys x and mask."
                raise DataError(f"A stream of {what} must hold all fields", "a mask", fix)
            yield from door.batches(data, batch_size, what, condition)
            return
        fields = data if isinstance(data, (tuple, Mapping, Batch)) else (data,)
        batch = parse(fields, door.y_is)
        batch = door.batch(batch if mask is None else batch._replace(mask=mask), what, condition)
        for start in range(0, len(batch.x), batch_size):
            yield batch.rows(slice(start, start + batch_size))


def _check_some(found: list) -> None:
    if not found:
        fix = "Check the files, the split and any filter."
        raise DataError("The data must hold examples", "none", fix)
