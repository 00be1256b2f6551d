import gc

# TensorFlow's graphs are a million Python objects, which the collector would go through again
# and again: a sixth of the suite's time.
gc.set_threshold(200_000, 50, 1000)


def pytest_collection_finish():
    gc.collect()
    gc.freeze()
