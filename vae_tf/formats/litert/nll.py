"""How much log-likelihood a half of lower precision costs, in nats an example.

Estimates of log p(x), log (1/K) sum_k p(x|z_k) p(z_k) / q(z_k|x) (Burda et al. 2016, equation
8), are made of the same random numbers for all files: their differences are known far better
than they are.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.distributions import DiagonalNormal
from vae_tf.errors import VAEError
from vae_tf.objectives import groups_of, log_mean_exp, log_ratio
from vae_tf.signatures.endpoint import Arrays
from vae_tf.signatures.halves import Halves


class HeldOut:
    """-log p(x) of held-out x, by a model of which one half is known by its outputs alone.

    Attributes:
        by: signature -> its outputs to -log p(x).
        inputs: what clients send of the examples to each half, by input: the images; and z, K
            draws from q(z|x) for each, [K * N, L], the first for all x first. A half for which
            there is nothing has no inputs.

    Args:
        halves: the model.
        examples: of `halves.examples`, none of them trained on; a few hundred.
        num_samples: K.
        seed: of the draws.
    """

    def __init__(
        self, halves: Halves, examples: Batch | None = None, num_samples: int = 16, seed: int = 0
    ):
        self._parts, self._num_samples, self._seed = halves.parts, num_samples, seed
        # Compiled, as eagerly TFP takes longer to build its objects than to compute.
        self._by_params, self._by_draws = (
            tf.function(of, autograph=False) for of in (self._of_params, self._of_draws)
        )
        self.by = {"encode": self.by_encoder, "decode": self.by_decoder}
        self.inputs: dict[str, dict[str, np.ndarray]] = {"encoder": {}, "decoder": {}}
        self._reason: str | None = "No held-out images were given."
        if examples is None:
            return
        taken = halves.condition()
        condition = taken.value([tf.constant(v) for v in taken.among(examples.condition)])
        self._batch = halves.batch(tf.constant(examples.x), condition)
        self.inputs["encoder"] = halves.request(examples, "encoder")
        try:
            with tf.device("/CPU:0"):  # a GPU would round its matrix products to TF32
                self._qz, self._draws = self._drawn(halves.parts.encoded(self._batch))
                z = self._draws.numpy().reshape(-1, self._draws.shape[-1])
                own = halves.request(examples, "decoder")
                own = {name: np.concatenate([v] * num_samples) for name, v in own.items()}
                del own["image"]
                self.inputs["decoder"] = {"z": z, **own}
                self._pz = halves.parts.p(self._batch)
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
        likelihood = self._parts.likelihood
        parts = {name: tf.split(value, self._num_samples) for name, value in outputs.items()}
        draws = [{name: part[k] for name, part in parts.items()} for k in range(self._num_samples)]
        if likelihood.from_statistics(draws[0]) is None:
            name = type(likelihood).__name__
            raise LookupError(f"What {name} puts out does not determine p(x|z).")
        return self._by_draws(draws).numpy()

    def by_encoder(self, outputs: Arrays) -> np.ndarray:
        """Returns -log p(x), [N], q(z|x) being what an encoder's outputs for `x` say it is.

        Args:
            outputs: each [N, L].

        Raises:
            LookupError: they do not determine it.
        """
        self._check()
        posterior = self._parts.posterior
        if not isinstance(posterior, DiagonalNormal):
            name = type(posterior).__name__
            raise LookupError(f"z_mean and z_log_var do not determine the draws of {name}.")
        return self._by_params({name: outputs[name] for name in posterior.parameters}).numpy()

    def _of_params(self, params) -> tf.Tensor:
        """Returns -log p(x), [N], for parameters of q(z|x)."""
        qz, z = self._drawn(params)
        return self._nll(qz, z, self._parts.log_px(z, self._batch))

    def _of_draws(self, draws) -> tf.Tensor:
        """Returns -log p(x), [N], for statistics of p(x|z), K of them."""
        pxs = [self._parts.likelihood.from_statistics(statistics) for statistics in draws]
        log_px = tf.stack([px.log_prob(self._batch.x) for px in pxs])  # type: ignore[union-attr]
        return self._nll(self._qz, self._draws, log_px)

    def _check(self) -> None:
        """Raises LookupError where the NLL cannot be computed, with the reason."""
        if self._reason:
            raise LookupError(self._reason)

    def _drawn(self, params) -> tuple[Any, tf.Tensor]:
        """Returns q(z|x) and draws from it, [K, N, L]."""
        qz = self._parts.posterior.distribution(params)
        return qz, qz.sample(self._num_samples, seed=[self._seed, 0])

    def _nll(self, qz: Any, z: tf.Tensor, log_px: tf.Tensor) -> tf.Tensor:
        """Returns -log p(x), [N], from log p(x|z), [K, N]."""
        return -log_mean_exp(log_px + log_ratio(groups_of(qz, self._pz, z)))
