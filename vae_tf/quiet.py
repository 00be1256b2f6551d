"""Keeping what libraries print off the user's screen."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

from vae_tf.errors import VAEError

log = logging.getLogger(__name__)


@contextlib.contextmanager
def quiet(*foreseeable: type[Exception]) -> Iterator[None]:
    """Diverts the process's standard output and error, C++ included, for the block.

    What was printed goes to this module's logger at DEBUG, unless the block fails in a way
    nobody foresaw: then it is printed after all.

    Args:
        foreseeable: errors that speak for themselves, besides VAEError and OSError.
    """
    try:
        screens = [(stream, os.dup(stream)) for stream in (1, 2)]
    except OSError:  # a daemon may have closed them; then there is no screen either
        yield
        return
    logger = logging.getLogger("tensorflow")
    level = logger.level
    with tempfile.TemporaryFile("w+", errors="replace") as sink:
        _flush()
        # A notebook's logging handlers do not write to file descriptor 2.
        logger.setLevel(logging.ERROR)
        for stream, _ in screens:
            os.dup2(sink.fileno(), stream)
        foreseen = True
        try:
            # In a notebook and under pytest, sys.stdout is not file descriptor 1.
            with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
                yield
        except Exception as error:
            foreseen = isinstance(error, (VAEError, OSError, *foreseeable))
            raise
        finally:
            sink.flush()
            for stream, screen in screens:
                os.dup2(screen, stream)
                os.close(screen)
            logger.setLevel(level)
            _give_back(sink)
            sink.seek(0)
            chatter = sink.read().strip()
            if foreseen:
                log.debug("%s", chatter)
            else:
                print(chatter, file=sys.stderr)


def _give_back(sink) -> None:
    """Points handlers that libraries made within the block, and so to `sink`, to the screen."""
    for name in (None, "absl", "tensorflow"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is sink:
                handler.setStream(sys.stderr)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
