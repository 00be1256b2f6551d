"""The profile of a run's training, beside its other files."""

from vae_tf.data import Split
from vae_tf.models import VAE
from vae_tf.profiling import TrainingProfile, profile_training
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.directory import RunDirectory
from vae_tf.runs.files import write_json


def profile_run(
    config: TrainConfig, vae: VAE, train: Split, run: RunDirectory, epochs_done: int
) -> TrainingProfile:
    """Returns where the time of a step goes, having written profile.json and a trace.

    `vae` stays as it is.

    Args:
        config: the settings.
        vae: the model, as after `epochs_done` epochs.
        train: what it is trained on.
        run: takes the files.
        epochs_done: how many epochs were trained before.
    """
    size = config.number("batch_size")
    profile = profile_training(
        vae,
        train.training_batches(size, config.seed, epochs_done, config.conditional),
        steps_per_epoch=train.steps_per_epoch(size),
        trace=run.logs,
    )
    write_json(run.profile, profile.as_dict())
    return profile
