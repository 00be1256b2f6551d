import pytest


@pytest.fixture
def set_dtype_policy():
    """Sets Keras's global dtype policy; it is set back after the test."""
    import keras  # pytest-xdist's own process, which runs no test, reads this file as well

    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)
