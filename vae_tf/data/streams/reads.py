"""Python that tf.data calls on threads of its own, and how it ends with the process."""

import atexit
import threading
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

_GRACE = 0.05  # seconds in which a thread that has been answered may ask again


class _Reads:
    """Counts calls, and lets none begin once the process is ending."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.active, self.made, self.over = 0, 0, False

    def __enter__(self) -> None:
        with self.changed:
            if self.over:
                raise RuntimeError("the process is ending")
            self.active, self.made = self.active + 1, self.made + 1

    def __exit__(self, *error: object) -> None:
        with self.changed:
            self.active -= 1
            self.changed.notify_all()

    def end(self) -> None:
        """Waits for the calls that go on.

        A thread that asks for Python's lock while the interpreter is taken down waits without end,
        and the process with it.
        """
        with self.changed:
            self.over = True
            self.changed.wait_for(lambda: not self.active)
        time.sleep(_GRACE if self.made else 0)


_reads = _Reads()
atexit.register(_reads.end)


def read_by(function: Callable[..., Any], arguments: list, dtypes: Any) -> Any:
    """Returns the tensors that a function of NumPy arrays answers with, as `tf.numpy_function`."""

    def counted(*values: Any) -> Any:
        with _reads:
            return function(*values)

    return tf.numpy_function(counted, arguments, dtypes)
