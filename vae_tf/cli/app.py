"""What every command shares: quiet libraries, one-line errors, exit codes."""

import os
import sys
from collections.abc import Callable

from vae_tf.errors import VAEError


def run(command: Callable[[], None]) -> int:
    """Returns the exit code of `command`: 0, 1 for a refusal in one line, 130 for Ctrl-C."""
    # TensorFlow's C++ side reads this once, when it is imported
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        command()
    except VAEError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; --resume goes on from the last finished epoch", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"error: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        return 1
    return 0
