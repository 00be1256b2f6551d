"""A run that is resumed to go further than it was to."""

from vae_tf.errors import RunError
from vae_tf.runs.checkpoints import Checkpoints
from vae_tf.runs.config import FURTHER, TrainConfig
from vae_tf.runs.directory import RunDirectory


def go_further(
    before: TrainConfig, config: TrainConfig, run: RunDirectory, checkpoints: Checkpoints
) -> None:
    """Opens a finished run again if `config` lets it go further than `before`.

    The step size follows the schedule of the longer run from where it stands.

    Raises:
        RunError: early stopping ended the run, and would end it again.
    """
    if all(getattr(before, name) == getattr(config, name) for name in FURTHER):
        return
    state = checkpoints.newest()
    if state["finished"] and state["epochs"] < config.number("epochs"):
        early = state["epochs"] < before.number("epochs")
        patient = config.patience != before.patience
        if early and not patient:
            raise RunError(
                f"The run in {run.path} can only go on with more patience",
                f"early stopping after epoch {state['epochs']}, with --patience {before.patience}",
                "Pass a larger --patience, or 0 for none.",
            )
        checkpoints.reopen()
    run.go_further(config)
