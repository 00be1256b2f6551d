"""What a finished run holds."""

from pathlib import Path

import keras

from vae_tf.errors import RunError
from vae_tf.models import VAE
from vae_tf.runs.directory import RunDirectory


def load_run(path: str | Path) -> tuple[VAE, dict]:
    """Returns the trained model of a run directory and its config.json.

    Raises:
        RunError: no run there, an unfinished one, or a damaged model.
    """
    run = RunDirectory(path)
    saved = run.read()
    run.refuse_links()
    if not run.model.exists():
        fix = "Finish the run with --resume first."
        raise RunError("The run must hold a trained model", f"no {run.model}", fix)
    fix = "Run train.py with --resume, which writes it again."
    if not run.model_is_whole():
        reason = "a file with another checksum than was written"
        raise RunError(f"{run.model} must be a whole Keras model", reason, fix)
    try:
        return keras.models.load_model(run.model), saved
    except Exception as error:  # damaged files raise what Keras, HDF5 and zipfile each have
        reason = f"a file Keras cannot load ({type(error).__name__})"
        raise RunError(f"{run.model} must be a whole Keras model", reason, fix) from None
