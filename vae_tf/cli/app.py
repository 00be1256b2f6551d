"""What every command shares: quiet libraries, one-line errors, exit codes."""

import os
import sys
from collections.abc import Callable

from vae_tf.errors import VAEError
from vae_tf.quiet import quiet


def import_tensorflow() -> None:
    """Imports what takes seconds, without its greetings, and wakes the GPUs if there are any."""
    with quiet(ImportError):
        import tensorflow as tf

        tf.config.list_physical_devices("GPU")


def run(command: Callable[[], None], stopped: str) -> int:
    """Returns the exit code of `command`: 0, 1 for a refusal in one line, 130 for Ctrl-C.

    Args:
        command: what to do.
        stopped: what to tell who pressed Ctrl-C.
    """
    # Read once, when TensorFlow is imported; what is an error here is a Python exception as well
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        command()
    except VAEError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nstopped; {stopped}", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"error: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        return 1
    return 0
