"""Keras's early stopping and checkpoints, watching the bound once the warm-up is over."""

import warnings

import keras

WATCHED = {"monitor": "val_elbo", "mode": "max"}


class AfterWarmup(keras.callbacks.Callback):
    """Lets an epoch count only if `val_elbo` is known and no schedule is warming up.

    The loss grows while beta rises, and so may the best bound of a model that is still an
    autoencoder: neither says anything about the model that comes out.
    """

    _seen = _told = False

    def on_epoch_end(self, epoch, logs=None):
        """Passes the epoch on to Keras's callback, if it counts."""
        if "val_elbo" in (logs or {}):
            self._seen = True
        elif not self._seen and not self._told:
            self._told = True
            warnings.warn(
                f"{type(self).__name__} needs `val_elbo`. Received: no validation in epoch "
                f"{epoch + 1}. Pass validation_data to fit; until then it does nothing.",
                stacklevel=2,
            )
        if "val_elbo" in (logs or {}) and not getattr(self.model, "warming_up", False):
            super().on_epoch_end(epoch, logs)


class EarlyStopping(AfterWarmup, keras.callbacks.EarlyStopping):
    """Stops training when `val_elbo`, the bound free of beta, has not risen for `patience` epochs.

    Epochs in which a schedule still warms up are not counted. For runs that may be interrupted
    there is `ResumableEarlyStopping`.

    Args:
        patience: number of epochs without a rise before training stops.
        min_delta: the smallest rise that counts, in nats.
        restore_best_weights: whether to end with the weights of the best epoch.
        verbose: 1 prints why training stopped.

    Example:
        >>> stopping = vae_tf.callbacks.EarlyStopping(patience=10, restore_best_weights=True)
        >>> stopping.monitor, stopping.mode  # vae.fit(x, validation_data=..., callbacks=[stopping])
        ('val_elbo', 'max')
    """

    def __init__(
        self,
        patience: int,
        *,
        min_delta: float = 0.0,
        restore_best_weights: bool = False,
        verbose: int = 0,
    ):
        super().__init__(
            **WATCHED,
            patience=patience,
            min_delta=min_delta,
            restore_best_weights=restore_best_weights,
            verbose=verbose,
        )


class ModelCheckpoint(AfterWarmup, keras.callbacks.ModelCheckpoint):
    """Saves the model of the best `val_elbo`, the bound free of beta.

    Epochs in which a schedule still warms up are not saved.

    Args:
        filepath: ends in .keras, or in .weights.h5 for weights alone; may hold {epoch} and the
            names of logs.
        save_best_only: False saves every epoch that counts.
        save_weights_only: whether to leave out all but the weights.
        initial_value_threshold: the bound to beat, in nats.
        verbose: 1 prints the name of each file.

    Example:
        >>> checkpoint = vae_tf.callbacks.ModelCheckpoint("best.keras")
        >>> checkpoint.monitor, checkpoint.save_best_only  # vae.fit(..., callbacks=[checkpoint])
        ('val_elbo', True)
    """

    def __init__(
        self,
        filepath,
        *,
        save_best_only: bool = True,
        save_weights_only: bool = False,
        initial_value_threshold: float | None = None,
        verbose: int = 0,
    ):
        super().__init__(
            filepath,
            **WATCHED,
            save_best_only=save_best_only,
            save_weights_only=save_weights_only,
            initial_value_threshold=initial_value_threshold,
            verbose=verbose,
        )
