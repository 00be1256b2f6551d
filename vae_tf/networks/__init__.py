"""Keras encoders and decoders derived from the data's shape; only Keras's own layers inside.

Every builder takes a `condition`: a number of classes K, for a one-hot input [B, K]; the shape of a
tensor without the batch; or a dict of either by name, as in `{"digit": 10, "position": (2,)}`. The
network then has inputs by name: `x` (an encoder's) or `z` (a decoder's), and `condition`, or
the names of the dict. A VAE feeds them from fields of its data, and makes classes one-hot.

An encoder built with `mask=True` has an input `mask`, 1 where the data were observed. It can then
tell a 0 from a missing value, which is 0 in `x` too.
"""

from vae_tf.networks.causal import causal_decoder, causal_encoder
from vae_tf.networks.conv import conv_decoder, conv_encoder
from vae_tf.networks.ladders import LadderNetworks
from vae_tf.networks.mlp import conditional_prior_network, mlp_decoder, mlp_encoder
from vae_tf.networks.mlp_ladder import mlp_ladder
from vae_tf.networks.recurrent import gru_decoder, gru_encoder
from vae_tf.networks.resnet import resnet_decoder, resnet_encoder
from vae_tf.networks.resnet_ladder import resnet_ladder

__all__ = [
    "LadderNetworks",
    "causal_decoder",
    "causal_encoder",
    "conditional_prior_network",
    "conv_decoder",
    "conv_encoder",
    "gru_decoder",
    "gru_encoder",
    "mlp_decoder",
    "mlp_encoder",
    "mlp_ladder",
    "resnet_decoder",
    "resnet_encoder",
    "resnet_ladder",
]


def __dir__() -> list[str]:
    return sorted(__all__)
