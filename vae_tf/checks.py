"""Arguments that must be numbers of some kind, each refused in one line."""

import math
import numbers

from vae_tf.errors import ConfigError


def whole(name: str, value: object, least: int = 1, fix: str = "") -> int:
    """Returns `value` as an int, or raises ConfigError unless it is a whole number >= `least`."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= least:
        return int(value)
    expected = f"`{name}` must be a whole number of at least {least}"
    raise ConfigError(expected, repr(value), fix or f"Pass {name}={least} or more.")


def real(name: str, value: object, *, positive: bool, fix: str = "") -> float:
    """Returns `value` as a float, or raises ConfigError unless it is finite and >= 0 (or > 0)."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number) and (number > 0 or (number == 0 and not positive)):
            return number
    bound = "above 0" if positive else "of at least 0"
    expected = f"`{name}` must be a finite number {bound}"
    raise ConfigError(expected, repr(value), fix or f"Pass {name}=1.0.")


def are_sizes(value: object) -> bool:
    """Returns whether `value` is a sequence of whole numbers of at least 1, or an empty one."""
    return isinstance(value, (tuple, list)) and all(type(n) is int and n >= 1 for n in value)


def instance(name: str, value: object, kind: type) -> None:
    """Raises ConfigError unless `value` is a `kind`."""
    if not isinstance(value, kind):
        raise ConfigError(
            f"`{name}` must be an instance of {kind.__name__}",
            repr(value)[:100],
            f"Pass an object, as in {name}={kind.__name__}(...).",
        )
