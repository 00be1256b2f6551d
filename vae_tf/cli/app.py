"""What every command shares: quiet libraries, one-line errors, exit codes."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from vae_tf.errors import VAEError
from vae_tf.quiet import quiet


def import_tensorflow() -> None:
    """Imports what takes seconds, without its greetings, and wakes the GPUs if there are any."""
    with quiet(ImportError):
        import tensorflow as tf

        tf.config.list_physical_devices("GPU")


def program(installed: str, here: str) -> str:
    """Returns what the user called: the `installed` command, or the door that lies `here`."""
    return installed if Path(sys.argv[0]).stem.startswith(installed) else here


class Terminated(KeyboardInterrupt):
    """The system asks the process to end."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


def run(command: Callable[[], None], stopped: str, words: Callable[[str], str] = str) -> int:
    """Returns the exit code of `command`.

    0; 1 for a refusal in one line; 130 for Ctrl-C, and 128 and its number for another signal.

    Args:
        command: what to do.
        stopped: what to tell who pressed Ctrl-C.
        words: turns the message of a refusal into the words of the command.
    """
    # Read once, when TensorFlow is imported; what is an error here is a Python exception as well
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _ended_in_order():
            command()
    except VAEError as error:
        print(f"error: {words(str(error))}", file=sys.stderr)
        return 1
    except Terminated as error:
        print(f"\nstopped by {signal.Signals(error.number).name}; {stopped}", file=sys.stderr)
        return 128 + error.number
    except KeyboardInterrupt:
        print(f"\nstopped; {stopped}", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"error: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP end the block as Ctrl-C does, so that nothing is left behind."""

    def end(number, frame):
        raise Terminated(number)

    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        # In a thread nothing can be set, and what nohup ignores stays ignored
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            with contextlib.suppress(ValueError):
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
