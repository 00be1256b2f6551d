"""Watching, during `fit`, whether the latents still hold anything."""

import warnings

import keras
import numpy as np

from vae_tf.checks import instance, real, whole
from vae_tf.data.batch import Batch
from vae_tf.evaluation import Collapse, measure_collapse
from vae_tf.models import VAE

BATCH = 256  # examples at a time, of arrays


class CollapseMonitor(keras.callbacks.Callback):
    """Measures posterior collapse on fixed examples, and warns of it once, with the remedies.

    It adds to `logs`: `active_units`, the number of active latents; `mutual_information`, in nats,
    at most log N; `z_sensitivity`, from 0 to about 1; and, where latents come in groups,
    `kl_group_0` and so on, in nats, and `active_group_0` and so on. Put it before TensorBoard and
    CSVLogger in the list of callbacks: they write what is in `logs` when their turn comes.

    It warns when no schedule is warming up any more, and more than half of the latents are off,
    or the mutual information, the sensitivity or the KL of one of several groups is below
    `threshold`.

    Args:
        x: held-out examples in any form that `fit` takes. Some hundred are enough, and the cost
            grows as N^2.
        every: epochs between two measurements; the first and the last epoch are always measured.
        num_samples: draws z ~ q(z|x) for each example.
        threshold: a latent is off unless Var_x(E[z_d|x]) is above it.
        seed: seed of the draws, which are the same in each epoch.

    Attributes:
        epochs: the epochs that were measured.
        results: the `Collapse` of each of these epochs.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> monitor = vae_tf.callbacks.CollapseMonitor(np.eye(8), every=5)
        >>> vae = vae_tf.VAE(encoder, decoder)
        >>> vae.compile("adam", run_eagerly=True)
        >>> history = vae.fit(np.eye(8), epochs=1, callbacks=[monitor], verbose=0).history
        >>> monitor.kl.shape, "mutual_information" in history  # one epoch, two latents
        ((1, 2), True)
    """

    def __init__(
        self, x, every: int = 1, num_samples: int = 4, threshold: float = 0.01, seed: int = 0
    ):
        super().__init__()
        self.x = x
        self.examples: list[Batch] = []
        self.every, self.num_samples = whole("every", every), whole("num_samples", num_samples)
        self.threshold = real("threshold", threshold, positive=False)
        self.seed = whole("seed", seed, least=0)
        self.epochs: list[int] = []
        self.results: list[Collapse] = []
        self._warned = False

    @property
    def kl(self) -> np.ndarray | None:
        """KL of each latent in each epoch measured, [E, L]; None unless q and p factorize."""
        rows = [result.kl for result in self.results]
        return None if not rows or rows[0] is None else np.stack(rows)

    @property
    def active(self) -> np.ndarray:
        """Whether each latent was active in each epoch measured, [E, L]."""
        return np.stack([result.active for result in self.results])

    def on_train_begin(self, logs=None):
        """Checks the model and the examples before the first step."""
        instance("model", self.model, VAE)
        # A stream may give other examples, or none, the second time
        self.examples = list(self.model.door.batches(self.x, BATCH, "monitored"))

    def on_epoch_end(self, epoch, logs=None):
        """Measures the model, if this epoch is one to measure."""
        last = epoch + 1 == self.params.get("epochs")
        if epoch % self.every and not last:
            return
        result = measure_collapse(
            self.model,
            iter(self.examples),
            num_samples=self.num_samples,
            threshold=self.threshold,
            seed=self.seed,
        )
        self.epochs.append(epoch)
        self.results.append(result)
        if logs is not None:
            logs["active_units"] = float(np.sum(result.active))
            logs["mutual_information"] = result.mutual_information.value
            logs["z_sensitivity"] = result.sensitivity
            if len(result.group_sizes) > 1:
                groups = zip(result.kl_by_group, result.active_by_group, strict=True)
                for g, (kl, active) in enumerate(groups):
                    logs |= {f"kl_group_{g}": float(kl), f"active_group_{g}": float(active)}
        if not self._warned and not self.model.warming_up:
            self._warn(epoch, result)

    def _warn(self, epoch: int, result: Collapse) -> None:
        information, off = result.mutual_information.value, result.off
        total = len(result.active)
        signs = []
        if 2 * len(off) > total:
            which = "all" if len(off) == total else "units " + ", ".join(map(str, off[:10]))
            which += ", ..." if which != "all" and len(off) > 10 else ""
            signs.append(f"{len(off)} of {total} latents are off ({which})")
        if len(result.group_sizes) > 1:
            groups = enumerate(zip(result.kl_by_group, result.active_by_group, strict=True))
            signs += [
                f"group {g} holds {kl:.2g} nats, {active} of {result.group_sizes[g]} latents active"
                for g, (kl, active) in groups
                if kl < self.threshold
            ]
        if information < self.threshold:
            signs.append(f"I(x; z) is {information:.2g} nats")
        if result.sensitivity < self.threshold:
            signs.append(f"E[x|z] follows {result.sensitivity:.2g} of the data's variance")
        if signs:
            self._warned = True
            warnings.warn(
                f"The posterior has collapsed by epoch {epoch + 1}: {'; '.join(signs)}. "
                "Warm the KL term up with beta=LinearWarmup(epochs=...) or Cyclical(epochs=...), "
                "leave it kl_control=FreeBits(nats), weaken the decoder, or ask for fewer latents.",
                stacklevel=2,
            )
