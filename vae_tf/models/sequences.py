"""Sequences drawn step by step from a decoder that sees z and the past of x."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_tf.checks import whole
from vae_tf.data.batch import Batch
from vae_tf.distributions.likelihoods.categorical import Categorical
from vae_tf.errors import ConfigError
from vae_tf.models.ancestral import ancestral, check_temperature, fixed_shape
from vae_tf.models.continuations import Continuations, continued
from vae_tf.models.vae import VAE

TOKENS = 2  # the stream of random numbers of steps, beside that of z


@keras.saving.register_keras_serializable(package="vae_tf")
class SequenceVAE(VAE):
    """A VAE of sequences [T] or [T, D]: p(x|z) = prod_t p(x_t|x_1 ... x_{t-1}, z).

    The decoder has the inputs `z` and `x`, and puts out the parameters of all steps at once; those
    of a step depend only on the steps before. `sample`, `reconstruct` and `interpolate` draw step
    by step; all other methods are those of VAE.

    Args:
        *args: as for VAE.
        end: the class that ends a sequence, 0 for `vae_tf.data.Texts`; None if all sequences have T
            steps.
        **kwargs: as for VAE.

    Example:
        >>> texts = vae_tf.data.Texts.of(["to be", "or not to be"])  # bytes
        >>> networks, likelihood = vae_tf.networks, texts.likelihood()
        >>> outputs = likelihood.parameter_shapes(texts.shape)
        >>> sizes = {"event_shape": texts.shape, "tokens": texts.num_tokens}
        >>> encoder = networks.gru_encoder(latent_dim=2, units=(16,), **sizes)
        >>> decoder = networks.gru_decoder(2, outputs, units=(16,), **sizes)
        >>> vae = vae_tf.SequenceVAE(encoder, decoder, likelihood=likelihood, end=0)
        >>> vae(texts.encode(["to be", "or not"])).nll.shape.as_list()
        [2]
    """

    own_arguments = ("end",)

    def __init__(self, *args, end: int | None = None, **kwargs):
        self.end = None if end is None else whole("end", end, least=0)
        super().__init__(*args, **kwargs)
        if self.end is not None and not isinstance(self.likelihood, Categorical):
            received = type(self.likelihood).__name__
            raise ConfigError("Only classes have an `end`", received, "Pass end=None.")

    def draw(
        self, z, *, temperature: float = 1.0, seed: int = 0, beginning=None, condition=None
    ) -> tf.Tensor:
        """Returns x ~ p(x|z), [B, *event], drawn step by step; 0 after the end.

        Args:
            z: latents [B, L].
            temperature: divisor of the logits. 0 takes the most probable token of each step; only
                tokens allow numbers other than 0 and 1.
            seed: seed of the draws; the same seed gives each row the same draw.
            beginning: {"x": ..., "mask": ...} of each row; x is kept where the mask is 1.
            condition: one entry for each row, where the model takes one.
        """
        temperature = check_temperature(self.likelihood, temperature)
        shape = fixed_shape(self.event_shape)
        z = tf.convert_to_tensor(z, tf.float32)
        given, rows = self._given(condition, z).condition, len(z)
        known = {} if beginning is None else beginning
        x = tf.cast(known.get("x", tf.zeros([rows, *shape])), tf.float32)
        mask = tf.cast(known.get("mask", tf.zeros([rows, *shape])), tf.float32)
        key = tf.constant([whole("seed", seed, least=0), TOKENS], tf.int32)
        drawn = ancestral(self.generator, shape, self.end)
        return drawn(z, Batch(x, mask, given), key, tf.constant(temperature))

    def sample(
        self, num_samples: int, seed: int | None = None, condition=None, temperature: float = 1.0
    ) -> tf.Tensor:
        """Returns draws x ~ p(x|z), z ~ p(z), [num_samples, *event].

        Args:
            num_samples: number of samples.
            seed: the same seed gives the same draws; the model's random stream if None.
            condition: one entry for each, where the model takes one.
            temperature: as for `draw`; below 1, draws are more typical and less diverse.
        """
        rows = whole("num_samples", num_samples, least=0)
        key = self.next_seed() if seed is None else tf.constant([seed, 0], tf.int32)
        given = self._given(condition, tf.zeros([rows, 1]))
        z = self.generator.drawn(key, tf.constant(rows), given)
        return self.draw(z, temperature=temperature, seed=abs(int(key[0])), condition=condition)

    def _reconstructed(self, batch: Batch, shown) -> tf.Tensor:
        condition = batch.condition if shown is None else shown
        return self.draw(self.generator.code(batch), temperature=0.0, condition=condition)

    def interpolate(
        self, a, b, steps: int = 8, condition=None, temperature: float = 0.0, seed: int = 0
    ) -> tf.Tensor:
        """Returns sequences on the line between the codes of `a` and `b`, [B, steps, *event].

        Args:
            a: a batch in any form, such as {"x": ..., "mask": ...}; or one example [*event],
                whose path then is [steps, *event].
            b: a batch or one example, as `a`.
            steps: number of sequences, both ends included; at least 2.
            condition: condition of each pair, the same along its path.
            temperature: as for `draw`.
            seed: seed of the draws, which are the same along a path.
        """
        steps, rank = whole("steps", steps, least=2), len(fixed_shape(self.event_shape))
        single = not isinstance(a, (dict, tuple, Batch)) and np.ndim(a) == rank
        ends = [np.asarray(x)[None] if single else x for x in (a, b)]
        batches = [self.door.batch(x, "data to interpolate", condition) for x in ends]
        z = [np.asarray(self.generator.code(batch)) for batch in batches]
        if z[0].shape != z[1].shape:
            received = f"{len(z[0])} and {len(z[1])}"
            raise ConfigError("`a` and `b` must have one length", received, "Pass pairs.")
        weight = np.linspace(0, 1, steps, dtype="float32")[:, None, None]
        path = (1 - weight) * z[0] + weight * z[1]  # [steps, B, L]
        # A step of all paths at a time: each path then has draws of its own
        options: dict[str, Any] = {"temperature": temperature, "seed": seed}
        options["condition"] = batches[0].condition
        x = tf.stack([self.draw(codes, **options) for codes in path], 1)
        return x[0] if single else x

    def continuations(
        self,
        beginning,
        num: int = 5,
        *,
        candidates: int = 50,
        num_samples: int = 100,
        temperature: float = 1.0,
        condition=None,
        seed: int = 0,
    ) -> Continuations:
        """Returns several probable continuations of a beginning, all different.

        Draws z ~ q(z|beginning) with importance weights w = p(beginning, z) / q(z|beginning) stand
        for p(z|beginning). Each candidate is drawn at a z that is chosen by the weights. The
        candidates are ranked by p(continuation|beginning) = sum_k w_k p(continuation|beginning,
        z_k) / sum_k w_k.

        Args:
            beginning: {"x": [1, *event], "mask": ...}, the mask 1 in the first steps alone, such
                as `texts.encode(["To be"], ended=False)`.
            num: the largest number of continuations.
            candidates: number of candidates that are drawn.
            num_samples: K, the number of draws of z.
            temperature: as for `draw`; the candidates are ranked by p(x) itself.
            condition: as for `sample`.
            seed: seed of the draws.

        Raises:
            DataError: there are several beginnings, or the beginning has no mask or fills all
                steps.

        Example:
            >>> texts = vae_tf.data.Texts.of(["to be", "or not to be"])  # bytes
            >>> networks, likelihood = vae_tf.networks, texts.likelihood()
            >>> outputs = likelihood.parameter_shapes(texts.shape)
            >>> sizes = {"event_shape": texts.shape, "tokens": texts.num_tokens}
            >>> encoder = networks.gru_encoder(latent_dim=2, units=(16,), **sizes)
            >>> decoder = networks.gru_decoder(2, outputs, units=(16,), **sizes)
            >>> vae = vae_tf.SequenceVAE(encoder, decoder, likelihood=likelihood, end=0)
            >>> ways = vae.continuations(texts.encode(["to"], ended=False), num=2, candidates=5)
            >>> ways.x.shape, ways.log_prob.shape
            ((2, 13), (2,))
        """
        batch = self.door.batch(beginning, "beginning", condition).tensors()
        counts = whole("num", num), whole("candidates", candidates)
        draws, seed = whole("num_samples", num_samples), whole("seed", seed, least=0)
        return continued(self, batch, *counts, draws, temperature, seed)
