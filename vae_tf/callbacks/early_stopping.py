"""Early stopping on the bound, in a run that may have been interrupted."""

import keras

from vae_tf.callbacks.after_warmup import WATCHED


class ResumableEarlyStopping(keras.callbacks.EarlyStopping):
    """Stops when `val_elbo` has not risen for `patience` epochs.

    The beta-free bound is watched, never the loss, which grows while beta warms up. Keras's
    callback forgets on a restart; this one reads again what the epochs before had shown.

    Args:
        history: the logs of the epochs already trained, oldest first.
        patience: epochs without a rise.
        start_from_epoch: epochs not counted at all, e.g. the warm-up of beta.

    Example:
        >>> history = [{"val_elbo": -90.0}, {"val_elbo": -91.0}]  # before the interruption
        >>> stopping = vae_tf.callbacks.ResumableEarlyStopping(history, patience=5)
        >>> stopping.on_train_begin()
        >>> stopping.best, stopping.wait
        (-90.0, 1)
    """

    def __init__(self, history: list[dict], patience: int, start_from_epoch: int = 0):
        super().__init__(**WATCHED, patience=patience, start_from_epoch=start_from_epoch)
        self.past = list(history)

    def on_train_begin(self, logs=None):
        """Starts as if the past epochs had been trained just now."""
        super().on_train_begin(logs)
        for epoch, epoch_logs in enumerate(self.past):
            self.on_epoch_end(epoch, epoch_logs)
