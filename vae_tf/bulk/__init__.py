"""A bundle's signatures over many files, by Apache Beam: rows in, shards and a manifest out.

plan -> pipeline -> shards -> manifest. The plan cuts the input into pieces, each of which becomes a
shard by the same batches every time, so that a job that is run again writes the same bytes. Beam
carries pieces to workers, and no rows: the batches it would make of rows differ from run to run.
"""

import importlib

# Looked up when first touched, since TensorFlow and Beam take seconds to import
_HOMES = {
    "Job": "vae_tf.bulk.job",
    "Signature": "vae_tf.bulk.signature",
    "run": "vae_tf.bulk.pipeline",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vae_tf.bulk' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
