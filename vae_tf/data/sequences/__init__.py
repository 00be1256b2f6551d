"""Sequences: texts and real-valued series as padded arrays with a mask.

A `Vocabulary` (`vocabulary`) turns a text into numbers of tokens; `Texts` (`texts`) pads them to
one length, with a mask that is 0 in the padding. Series of numbers of different lengths get the
same mask (`series`). `text_data` and `series_data` put files into the splits that images have.
"""

from vae_tf.data.sequences.series import Series
from vae_tf.data.sequences.texts import Texts
from vae_tf.data.sequences.vocabulary import Bytes, Given, Vocabulary, Words

__all__ = ["Bytes", "Given", "Series", "Texts", "Vocabulary", "Words"]


def __dir__() -> list[str]:
    return sorted(__all__)
