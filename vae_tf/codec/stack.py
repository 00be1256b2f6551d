"""One chain's stack of compressed bits: binary decisions go in and come out, last in, first out."""

import hashlib
from types import ModuleType

import numpy as np

from vae_tf.errors import CodecError

PRECISION = 20  # probabilities are k / 2^20, 0 < k < 2^20
ONE = 1 << PRECISION
HELD = 2  # words of 32 bits that the coder keeps at hand
# More than an image takes out of an empty chain: a decision takes at most 20 bits
SEED_WORDS = 1 << 14


def coder() -> ModuleType:
    """Returns the module of the entropy coder.

    Raises:
        CodecError: it is not installed.
    """
    try:
        import constriction
    except ImportError:
        fix = 'Install it by `pip install "vae_tf[compress]"`.'
        raise CodecError("The codec needs the package constriction", "none", fix) from None
    return constriction.stream


def share_of_zero(k: np.ndarray) -> np.ndarray:
    """Returns the probability of 1 that makes constriction count with P(0) = k / 2^20 exactly.

    It gives 0 the share 1 + floor(P(0) * (2^24 - 2)) of 2^24. In the middle between two of these
    no rounding decides.
    """
    counted: np.ndarray = k.astype("float64") * (1 << (24 - PRECISION))
    return 1 - (counted - 0.5) / ((1 << 24) - 2)


class Stack:
    """A stack of bits, of which the lowest are random.

    Drawing latents takes bits from it before anything was put in. Of the random words only those
    are kept that were ever touched.

    Args:
        words: what the stack holds, uint32; None for random words.
    """

    def __init__(self, words: np.ndarray | None = None):
        stream = coder()
        self._family = stream.model.Bernoulli(perfect=False)
        try:
            self._stack = stream.stack.AnsCoder(_seed() if words is None else words)
        except ValueError as error:
            fix = "Copy the file again from where it was made."
            expected = "The words of a chain must be words that the coder wrote"
            raise CodecError(expected, str(error), fix) from None
        self._lowest = self._stack.num_words()

    def push(self, bits: np.ndarray, k: np.ndarray) -> None:
        """Puts decisions on the stack so that `pop` finds the first one on top.

        Args:
            bits: 0 or 1, [n].
            k: of which 0 has the probability k / 2^20, [n].
        """
        self._stack.encode_reverse(bits.astype("int32"), self._family, share_of_zero(k))

    def pop(self, k: np.ndarray) -> np.ndarray:
        """Returns the decisions on top, int32 [n], and takes them off.

        Args:
            k: of which 0 has the probability k / 2^20, [n].
        """
        bits = self._stack.decode(self._family, share_of_zero(k))
        self._lowest = min(self._lowest, self._stack.num_words())
        return bits

    def bits(self) -> int:
        """Returns how many bits of information the stack holds."""
        return self._stack.num_valid_bits()

    def words(self) -> np.ndarray:
        """Returns what is on the stack, but for random words that were never touched; uint32."""
        untouched = max(self._lowest - HELD, 0)
        return np.array(self._stack.get_compressed()[untouched:], "uint32")


def _seed() -> np.ndarray:
    """Returns random words, always the same, so that files are."""
    data = hashlib.shake_128(b"vae_tf.codec").digest(4 * SEED_WORDS)
    words = np.frombuffer(data, "<u4").astype("uint32")
    words[-1] |= 1  # the coder takes no words that end in 0
    return words


def to_bytes(words: np.ndarray) -> bytes:
    """Returns the words, little-endian."""
    return words.astype("<u4").tobytes()


def from_bytes(data: bytes) -> np.ndarray:
    """Returns the words that `to_bytes` wrote."""
    return np.frombuffer(data, "<u4").astype("uint32")
