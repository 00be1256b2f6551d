"""log p(x) of a model of classes, from estimates of log p(x|y) for each class y."""

import numpy as np

from vae_tf.evaluation.partial import Estimates


def over_classes(by_class: Estimates, log_prior: np.ndarray) -> Estimates:
    """Returns the estimates of log sum_y p(y) p(x|y).

    With r_y = p(y|x), the share of a class in the sum, an error e_y of log p(x|y) moves the sum's
    logarithm by r_y e_y to first order, and the draws of the classes are independent.

    Args:
        by_class: of log p(x|y), [B * K], the classes of an example together.
        log_prior: log p(y), [B, K]; -inf where an example cannot be of the class.
    """
    estimate, variance, shift, in_bfloat16 = (part.reshape(log_prior.shape) for part in by_class)
    log_joint = estimate + log_prior
    total = np.logaddexp.reduce(log_joint, axis=1)
    shares = np.exp(log_joint - total[:, None])
    spread = np.sum(np.square(shares) * variance, 1)
    return Estimates(total, spread, np.sum(shares * shift, 1), np.any(in_bfloat16, 1))
