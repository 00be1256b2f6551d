"""A check of an audit: whether a decoder that sees x sees the past of each element alone."""

import numpy as np
import tensorflow as tf

from vae_tf.models.audit.subject import Failed, Skipped, Subject, close, tolerance_of


def past(s: Subject) -> str:
    """A decoder that sees x must not see what it is to predict, or log p(x|z) is none."""
    parts = s.vae.parts
    if "x" not in parts.decoder_wiring.names:
        return "the decoder does not see x"
    if len(s.x) < 2:
        raise Skipped("it takes two examples")
    batch = s.some()
    z, params = s.decoded()
    each = parts.likelihood.elements(params, batch.x)
    if each is None:
        raise Skipped("the likelihood tells no single elements")
    before = np.reshape(each, [len(s.x), -1])
    flat = np.reshape(batch.x, [len(s.x), -1])
    if before.shape != flat.shape:
        raise Skipped("some elements are only known together")
    other = np.roll(flat, 1, 0)  # of another example, so that each is of its own kind
    for cut in sorted({0, flat.shape[1] // 3, flat.shape[1] // 2, flat.shape[1] - 1}):
        changed = np.concatenate([flat[:, :cut], other[:, cut:]], 1).reshape(batch.x.shape)
        moved = parts.decoded(z, batch._replace(x=tf.constant(changed)))
        after = np.reshape(parts.likelihood.elements(moved, batch.x), before.shape)
        if not close(after[:, : cut + 1], before[:, : cut + 1], tolerance_of(s)):
            fix = "Shift the decoder's x by one element, and use causal layers behind it."
            raise Failed(f"log p of elements 0 to {cut} depends on x from {cut} on.", fix)
    return "the parameters of an element depend on those before it alone"
