"""Objects whose settings stay, once a model has read them into compiled steps."""

from typing import Any

from vae_tf.errors import ConfigError

ALLOWED = ("name", "trainable")  # of Keras's layers: neither is read into a graph unnoticed


class Settings:
    """Something made by a constructor whose arguments `get_config` returns."""

    _settings: frozenset[str] = frozenset()

    def freeze(self) -> None:
        """Refuses from now on that an argument of the constructor be assigned.

        A compiled step has read it, and would go on with the old value without a word.
        """
        try:
            names = self.get_config()  # type: ignore[attr-defined]
        except Exception:  # a part of a user's that cannot be saved may be used all the same
            return
        object.__setattr__(self, "_settings", frozenset(names) - set(ALLOWED))

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute; settings of what is part of a model are refused."""
        if name in self._settings:
            kind = type(self).__name__
            fix = f"Make another {kind} for `vae.replace(...)`; `vae.beta` may be assigned."
            raise ConfigError(
                f"`{name}` of a {kind} that belongs to a model cannot be assigned: compiled steps "
                "have read it already",
                repr(value)[:60],
                fix,
            )
        super().__setattr__(name, value)
