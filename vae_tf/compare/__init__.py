"""A VAE beside explicit densities, on the same data and on equal terms."""

from vae_tf.compare.comparing import Comparison, Row, compare

__all__ = ["Comparison", "Row", "compare"]


def __dir__() -> list[str]:
    return sorted(__all__)
