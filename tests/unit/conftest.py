import keras
import pytest


@pytest.fixture
def set_dtype_policy():
    """Sets Keras's global dtype policy; it is set back after the test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)
