"""Stopping a training that is no longer finite, and saying where it began."""

import keras
import numpy as np
import tensorflow as tf

from vae_tf.errors import NonFiniteError

# In the order of the data's way, so the first that is not finite is where the trouble entered.
STAGES = ("the data x", "the latent draw z ~ q(z|x)", "kl", "the decoder's output", "nll")


def all_finite(*stages) -> tf.Tensor:
    """Returns one bool for each of STAGES, [5].

    All are looked at only where kl or nll is not finite, as what goes wrong earlier shows there.

    Args:
        stages: for each of STAGES the tensor, or the structure of tensors, it gave.
    """

    def finite(*stages) -> tf.Tensor:
        # A sum is cheap and keeps NaN and infinity
        tensors = tf.nest.flatten(stages)
        total = tf.add_n([tf.reduce_sum(tf.cast(tensor, tf.float32)) for tensor in tensors])
        return tf.math.is_finite(total)

    # A look, not a term: the tape shall not go through the branches
    stages = tf.nest.map_structure(tf.stop_gradient, stages)
    return tf.cond(
        finite(stages[STAGES.index("kl")], stages[STAGES.index("nll")]),
        lambda: tf.ones([len(STAGES)], tf.bool),
        lambda: tf.stack([finite(stage) for stage in stages]),
    )


class FiniteGuard(keras.callbacks.Callback):
    """Raises NonFiniteError soon after the loss has become NaN or infinite.

    The running mean of an epoch keeps a NaN, so looking at every few batches misses none, and
    does not wait for the device at each.
    """

    def __init__(self, every: int = 16):
        super().__init__()
        self.every = every
        self.unseen = 0

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the loss after every few batches."""
        self.unseen += self.model.steps_per_execution
        if self.unseen >= self.every:
            self.unseen = 0
            self._look(logs or {}, f"batch {batch}")

    def on_epoch_end(self, epoch, logs=None):
        """Looks at the loss of the epoch."""
        self._look(logs or {}, f"the end of epoch {epoch + 1}")

    def _look(self, logs: dict, when: str) -> None:
        losses = {name: float(logs.get(name, 0.0)) for name in ("loss", "val_loss")}
        bad_losses = {name: loss for name, loss in losses.items() if not np.isfinite(loss)}
        if not bad_losses:
            return
        name, loss = next(iter(bad_losses.items()))
        bad = int(self.model._first_bad_stage)
        first = STAGES[bad - 1] if bad else "the gradients or the regularization"
        weights = self.model.trainable_variables
        broken = [w.path for w in weights if not np.all(np.isfinite(w.numpy()))]
        after = f"; weights such as {broken[0]} are not finite either" if broken else ""
        raise NonFiniteError(
            f"Training must stay finite. It stopped at {when}",
            f"{name}={loss}, the first bad term being {first}{after}",
            "Lower the learning rate, set `clipnorm` in the optimizer, or check the data.",
        )
