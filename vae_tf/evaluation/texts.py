"""Perplexity of texts, and the neighbours of examples among the codes of others."""

import numpy as np

from vae_tf.checks import whole
from vae_tf.errors import DataError
from vae_tf.evaluation.importance import LogLikelihood
from vae_tf.models import VAE


def perplexity(likelihood: LogLikelihood, mask) -> float:
    """Returns the perplexity, exp(-sum_n log p(x_n) / number of tokens), ends being tokens too.

    It is the number of equally probable tokens among which the model is left to choose.

    Args:
        likelihood: estimates of log p(x) of texts.
        mask: mask of the same texts, [N, T].

    Raises:
        DataError: there are more or fewer masks than texts.

    Example:
        >>> estimate = vae_tf.evaluation.LogLikelihood(np.array([-6 * np.log(10)]), np.zeros(1), 1)
        >>> mask = np.array([[1, 1, 1, 0]])  # two tokens and the end
        >>> round(vae_tf.evaluation.perplexity(estimate, mask), 3)  # 10^2 for each of the three
        100.0
    """
    mask = np.asarray(mask)
    if len(mask) != len(likelihood.per_example):
        received = f"{len(mask)} masks for {len(likelihood.per_example)} texts"
        raise DataError("Each text must have its mask", received, "Pass those of the same texts.")
    return float(np.exp(-np.sum(likelihood.per_example) / np.sum(mask)))


def neighbours(vae: VAE, examples, data, number: int = 5) -> np.ndarray:
    """Returns the rows of `data` whose codes are nearest to those of `examples`, [B, n].

    A code is the mean of q(z|x), and the distance is Euclidean.

    Args:
        vae: a model.
        examples: B examples, in any form that `encode` takes.
        data: N examples, in the same forms.
        number: n, the number of neighbours.

    Returns:
        Row numbers, the nearest first, [B, n].

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> vae = vae_tf.VAE(encoder, decoder)
        >>> x = np.eye(8)
        >>> vae_tf.evaluation.neighbours(vae, x[[3, 5]], x, number=1)  # itself
        array([[3],
               [5]])
    """
    of_examples, of_data = (_codes(vae, given) for given in (examples, data))
    distance = np.sum(np.square(of_data), 1) - 2 * of_examples @ of_data.T
    return np.argsort(distance, 1, kind="stable")[:, : whole("number", number)]


def _codes(vae: VAE, data) -> np.ndarray:
    batches = vae.door.batches(data, 1024, "data to encode")
    return np.concatenate([vae.generator.code(batch) for batch in batches]).astype("float64")
