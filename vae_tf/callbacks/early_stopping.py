"""Early stopping on the bound, in a run that may have been interrupted."""

import keras

from vae_tf.callbacks.after_warmup import WATCHED


class ResumableEarlyStopping(keras.callbacks.EarlyStopping):
    """Stops training when `val_elbo` has not risen for `patience` epochs, in a resumed run too.

    It watches the bound free of beta, never the loss, which grows while beta warms up. Keras's
    callback forgets the epochs before a restart; this one takes their logs.

    Args:
        history: the logs of the epochs already trained, oldest first.
        patience: number of epochs without a rise before training stops.
        start_from_epoch: number of first epochs that do not count, such as the warm-up of beta.

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
