"""Libraries' chatter: kept off the screen, unless it is needed to understand a failure."""

import logging
import os

import pytest
import tensorflow as tf

from vae_tf.errors import ExportError
from vae_tf.quiet import quiet


def chatter():
    print("from Python")
    os.write(1, b"from C, to standard output\n")
    os.write(2, b"from C, to standard error\n")
    tf.get_logger().warning("from TensorFlow's logger")


def test_chatter_goes_to_the_log(capfd, caplog):
    level = tf.get_logger().level
    with caplog.at_level(logging.DEBUG, "vae_tf.quiet"), quiet():
        chatter()
    assert capfd.readouterr() == ("", "")
    assert "from C, to standard output\nfrom C, to standard error" in caplog.text
    assert "from Python" in caplog.text
    assert tf.get_logger().level == level
    print("afterwards")
    assert capfd.readouterr().out == "afterwards\n"


def fail(error):
    with quiet():
        chatter()
        raise error


@pytest.mark.parametrize("error", [ExportError("a", "b", "c"), OSError(28, "full")])
def test_foreseen_failures_speak_for_themselves(capfd, error):
    with pytest.raises(type(error)):
        fail(error)
    assert capfd.readouterr() == ("", "")


def test_unforeseen_failures_come_with_the_chatter(capfd):
    with pytest.raises(ZeroDivisionError):
        fail(ZeroDivisionError())
    assert "from C, to standard error" in capfd.readouterr().err


def test_a_handler_made_within_outlives_it(capfd):
    logger = logging.getLogger("tensorflow")
    before = list(logger.handlers)
    with quiet():
        handler = logging.StreamHandler()
        logger.addHandler(handler)
    try:
        logger.error("heard")
    finally:
        logger.handlers = before
    assert "heard" in capfd.readouterr().err
