"""A check of an audit: whether the decoder's outputs are what they are called."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from vae_tf.models.audit.behaviour import FAR
from vae_tf.models.audit.subject import Failed, Skipped, Subject
from vae_tf.models.endings import meaning_of, remedy

LEAST = 8  # numbers, before their range tells something


def outputs(s: Subject) -> str:
    """Log-odds leave [0, 1], at latents of the data or far out, and probabilities do not."""
    parts, batch = s.vae.parts, s.some()
    z, found = s.decoded()
    far = tf.random.stateless_normal(tf.shape(z), s.key(11), stddev=FAR)
    several = [_named(outputs, parts.likelihood) for outputs in (found, parts.decoded(far, batch))]
    ranges = []
    for name in several[0]:
        values = np.concatenate([np.ravel(tf.cast(each[name], tf.float32)) for each in several])
        low, high, meaning = values.min(), values.max(), meaning_of(name)
        within = 0 <= low <= high <= 1
        if (meaning == "probs" and not within) or (
            meaning == "logits" and within and low < high and values.size >= LEAST
        ):
            kind = type(parts.likelihood).__name__
            ending = "linear" if meaning == "probs" else "sigmoid"
            raise Failed(f"All {name} are {low:.3g} to {high:.3g}.", remedy(kind, meaning, ending))
        ranges.append(f"{name} {low:.3g} to {high:.3g}")
    if not ranges:
        raise Skipped("the decoder names no outputs")
    return ", ".join(ranges)


def _named(outputs, likelihood) -> Mapping:
    if isinstance(outputs, Mapping):
        return outputs
    return {likelihood.parameters[0]: outputs} if len(likelihood.parameters) == 1 else {}
