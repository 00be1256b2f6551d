"""How much log-likelihood a half of lower precision costs, in nats an example.

Estimates of log p(x), log (1/K) sum_k p(x|z_k) p(z_k) / q(z_k|x) (Burda et al. 2016, equation
8), are made of the same random numbers for all files: their differences are known far better
than they are.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_tf.distributions import DiagonalNormal
from vae_tf.errors import VAEError
from vae_tf.exporting.signatures.endpoint import Arrays
from vae_tf.exporting.signatures.preprocessing import AS_IT_IS, Preprocessing
from vae_tf.objectives import groups_of, log_mean_exp, log_ratio


class HeldOut:
    """-log p(x) of held-out x, by a model of which one half is known by its outputs alone.

    Attributes:
        x: [N, ...]; None if there are none.
        image: the same as clients send them.
        z: K draws from q(z|x) for each, [K * N, L], the first for all x first; None if there are
            none.

    Args:
        encoder: x -> what `posterior` takes.
        decoder: z -> what `likelihood` takes.
        prior: p(z).
        posterior: q(z|x).
        likelihood: p(x|z).
        x: [N, ...], as the encoder takes them, none of them trained on; a few hundred.
        preprocessing: how clients send them.
        num_samples: K.
        seed: of the draws.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        *,
        prior: Any,
        posterior: Any,
        likelihood: Any,
        x: np.ndarray | None = None,
        preprocessing: Preprocessing = AS_IT_IS,
        num_samples: int = 16,
        seed: int = 0,
    ):
        self._posterior, self._likelihood = posterior, likelihood
        self._num_samples, self._seed = num_samples, seed
        # Compiled, as eagerly TFP takes longer to build its objects than to compute.
        self._by_z = tf.function(
            lambda x, z: likelihood.distribution(decoder(z, training=False)).log_prob(x)
        )
        self._by_outputs = tf.function(
            lambda x, outputs: likelihood.from_statistics(outputs).log_prob(x)
        )
        self.x = None if x is None else np.asarray(x, np.float32)
        self.image = None if self.x is None else preprocessing.sent(self.x)
        self.z = None
        self._reason: str | None = "No held-out images were given."
        if self.x is None:
            return
        try:
            with tf.device("/CPU:0"):  # a GPU would round its matrix products to TF32
                params = encoder(self.x, training=False)
                self._qz, self._draws = self._drawn(params)
                self.z = self._draws.numpy().reshape(-1, self._draws.shape[-1])
                self._pz = prior.distribution()
                self._pz.log_prob(self._draws[0])
                self._reason = None
        except (VAEError, AttributeError, NotImplementedError) as error:
            text = " ".join(str(error).split())
            self._reason = f"log p(x) cannot be estimated. {type(error).__name__}: {text}"

    def by_decoder(self, outputs: Arrays) -> np.ndarray:
        """Returns -log p(x), [N], p(x|z) being what a decoder's outputs for `z` say it is.

        Args:
            outputs: each [K * N, ...].

        Raises:
            LookupError: they do not determine it.
        """
        self._check()
        rebuild = getattr(self._likelihood, "from_statistics", lambda outputs: None)
        parts = {name: tf.split(value, self._num_samples) for name, value in outputs.items()}
        draws = [{name: part[k] for name, part in parts.items()} for k in range(self._num_samples)]
        if rebuild(draws[0]) is None:
            name = type(self._likelihood).__name__
            raise LookupError(f"What {name} puts out does not determine p(x|z).")
        log_px = [self._by_outputs(self.x, draw) for draw in draws]
        return self._nll(self._qz, self._draws, log_px)

    def by_encoder(self, outputs: Arrays) -> np.ndarray:
        """Returns -log p(x), [N], q(z|x) being what an encoder's outputs for `x` say it is.

        Args:
            outputs: each [N, L].

        Raises:
            LookupError: they do not determine it.
        """
        self._check()
        if not isinstance(self._posterior, DiagonalNormal):
            name = type(self._posterior).__name__
            raise LookupError(f"z_mean and z_log_var do not determine the draws of {name}.")
        qz, z = self._drawn({name: outputs[name] for name in self._posterior.parameters})
        return self._nll(qz, z, self._decoded(z))

    def _check(self) -> None:
        if self._reason:
            raise LookupError(self._reason)

    def _drawn(self, params) -> tuple[Any, tf.Tensor]:
        """Returns q(z|x) and draws from it, [K, N, L]."""
        qz = self._posterior.distribution(params)
        return qz, qz.sample(self._num_samples, seed=[self._seed, 0])

    def _decoded(self, z: tf.Tensor) -> list[tf.Tensor]:
        """Returns log p(x|z), K times [N]."""
        return [self._by_z(self.x, z_k) for z_k in tf.unstack(z)]

    def _nll(self, qz: Any, z: tf.Tensor, log_px: Sequence[tf.Tensor]) -> np.ndarray:
        """Returns -log p(x), [N], from log p(x|z), K times [N]."""
        log_w = tf.stack(log_px) + log_ratio(groups_of(qz, self._pz, z))
        return -log_mean_exp(log_w).numpy()
