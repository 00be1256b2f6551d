"""What makes batches takes no memory of its own."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vae_tf.data.pipeline import beside_training
from vae_tf.data.storage import Storage, as_tensor

STATM = Path("/proc/self/statm")
ROWS, COLUMNS = 200, 2**20


def resident() -> int:
    return int(STATM.read_text().split()[1]) * 4096


@pytest.mark.skipif(not STATM.exists(), reason="no /proc to ask for resident memory")
def test_the_data_are_not_copied():
    array = Storage(ROWS * COLUMNS).empty((ROWS, COLUMNS), np.uint8)
    array[:] = np.arange(ROWS)[:, None] % 256
    data = as_tensor(array)
    before = resident()
    batches = tf.data.Dataset.range(ROWS).map(lambda i: tf.gather(data, i)[:10])
    read = [int(batch[0]) for batch in beside_training(batches, ROWS)]
    assert read == [i % 256 for i in range(ROWS)]
    assert resident() - before < array.nbytes / 2
