"""What networks of several groups of latents have in common."""

from collections.abc import Sequence
from typing import NamedTuple

import keras

from vae_tf.checks import whole
from vae_tf.errors import ConfigError
from vae_tf.networks.checks import widths_of
from vae_tf.networks.heads import Initializers


class LadderNetworks(NamedTuple):
    """The networks of a model whose latents are a ladder of groups, the top first; a tuple.

    Example:
        >>> ladder = vae_tf.networks.mlp_ladder((8,), [2, 4], {"logits": (8,)}, hidden=[16, 32])
        >>> ladder._fields
        ('encoder', 'decoder', 'prior', 'posterior')
        >>> len(ladder.prior), len(ladder.posterior)  # one for each group below the top
        (1, 1)
    """

    encoder: keras.Model  # data to what each group takes of them
    decoder: keras.Model  # all groups, each at its own level, to the parameters of p(x|z)
    prior: list[keras.Model]  # for `priors.Hierarchy(top, networks)`
    posterior: list[keras.Model]  # for `posteriors.Ladder(networks)`


class Seeds:
    """Streams of initial weights, one for each network.

    Args:
        seed: seed of all of them; None for weights that differ at each call.
    """

    def __init__(self, seed: int | None):
        self.seed = seed

    def __call__(self, network: int, group: int = 0) -> Initializers:
        """Returns the initializers of a network of a group."""
        return Initializers(None if self.seed is None else [self.seed, network, group])


def check_groups(latents: Sequence[int], name: str, widths: Sequence[int]) -> tuple[tuple, tuple]:
    """Returns the latents and the widths of the groups, the top first, as tuples.

    Raises:
        ConfigError: what is no such numbers, or another number of groups.
    """
    latents, widths = widths_of("latents", latents, least=1), widths_of(name, widths, least=1)
    if len(latents) != len(widths):
        received = f"{len(latents)} latents and {len(widths)} of `{name}`"
        fix = f"Pass one number a group, the top first: latents=(8, 16), {name}=(128, 256)."
        raise ConfigError(f"`latents` and `{name}` must have one length", received, fix)
    return latents, widths


def top_heads(latents: Sequence[int], top) -> dict:
    """Returns the encoder's outputs for the top group, by their names in the encoder."""
    size = whole("latents", latents[0])
    shapes = top or {"z_mean": (size,), "z_log_var": (size,)}
    return {f"group_0_{name}": shape for name, shape in shapes.items()}


def split(z, sizes: Sequence[int]) -> list:
    """Returns the groups of z [B, L]."""
    ends = [sum(sizes[: g + 1]) for g in range(len(sizes))]
    return [z[:, end - size : end] for end, size in zip(ends, sizes, strict=True)]
