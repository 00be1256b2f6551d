"""Keras encoders and decoders derived from the data's shape; only Keras's own layers inside."""

from vae_tf.networks.conv import conv_decoder, conv_encoder
from vae_tf.networks.mlp import mlp_decoder, mlp_encoder

__all__ = ["conv_decoder", "conv_encoder", "mlp_decoder", "mlp_encoder"]
