"""The profile of a run's training, beside its other files."""

from vae_tf.models import VAE
from vae_tf.profiling import TrainingProfile, profile_training
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.directory import RunDirectory
from vae_tf.runs.files import write_json
from vae_tf.runs.kind import Kind


def profile_run(
    config: TrainConfig, vae: VAE, kind: Kind, run: RunDirectory, epochs_done: int
) -> TrainingProfile:
    """Returns where the time of a step goes, having written profile.json and a trace.

    `vae` stays as it is.

    Args:
        config: the settings.
        vae: the model, as after `epochs_done` epochs.
        kind: the data.
        run: takes the files.
        epochs_done: how many epochs were trained before.
    """
    profile = profile_training(
        vae,
        kind.training_batches(config, epochs_done),
        steps_per_epoch=kind.steps_per_epoch(config),
        trace=run.logs,
    )
    write_json(run.profile, profile.as_dict())
    return profile
