"""An audit of a model before it is trained."""

from vae_tf.models.audit.running import Audit, Finding, audit

__all__ = ["Audit", "Finding", "audit"]


def __dir__() -> list[str]:
    return sorted(__all__)
