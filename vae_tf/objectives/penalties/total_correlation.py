"""Penalties on the total correlation KL(q(z) || prod_d q(z_d)) of the aggregate posterior."""

import itertools
from collections.abc import Sequence

import keras
import tensorflow as tf

from vae_tf.checks import whole
from vae_tf.errors import ConfigError
from vae_tf.objectives.base import Inference
from vae_tf.objectives.gradients import with_gradient_of
from vae_tf.objectives.penalties.base import Penalty


@keras.saving.register_keras_serializable(package="vae_tf")
class TotalCorrelation(Penalty):
    """The penalty weight * TC, estimated by stratified sampling (Chen et al. 2018, S1.2).

    TC is the total correlation KL(q(z) || prod_d q(z_d)) of the aggregate posterior, in nats. With
    the ELBO at beta = 1 it makes the beta-TCVAE whose TC has the weight 1 + `weight`.

    Args:
        weight: beta - 1 of the beta-TCVAE.
        num_examples: N, the size of the training set.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> penalty = vae_tf.objectives.TotalCorrelation(5.0, num_examples=60_000)
        >>> vae = vae_tf.VAE(encoder, decoder, penalties=[penalty])
        >>> vae(np.ones((3, 8))).extra.shape.as_list()  # beside the bound, in nats
        []
    """

    needs_factorized = True

    def __init__(self, weight: float, num_examples: int, **kwargs):
        super().__init__(weight, **kwargs)
        self.num_examples = whole("num_examples", num_examples, 2)

    def penalty(self, z: tf.Tensor, inference: Inference) -> tf.Tensor:
        """Returns weight * mean_i [log q(z_i) - sum_d log q(z_id)]."""
        # log q(z_id | x_j), [i, j, d]
        log_q = inference.qz.distribution.log_prob(z[:, None])
        log_w = log_stratified_weights(tf.shape(z)[0], self.num_examples)
        joint = tf.reduce_logsumexp(log_w + tf.reduce_sum(log_q, -1), 1)
        marginals = tf.reduce_sum(tf.reduce_logsumexp(log_w[..., None] + log_q, 1), -1)
        return self.weight * tf.reduce_mean(joint - marginals)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "num_examples": self.num_examples}


def log_stratified_weights(batch_size: tf.Tensor, num_examples: int) -> tf.Tensor:
    """Returns log w_ij with E[sum_j w_ij q(z|x_j)] = q(z) = (1/N) sum_n q(z|x_n), [B, B].

    Row i holds z's own example with weight 1/N; the other M = B - 1, drawn without it, share the
    rest: (N - 1) / (N M) each. Chen et al. give one of them less and the others more; this is
    the mean over all orders of a batch, which has less variance, and none where B = N.
    """
    n, m = float(num_examples), tf.cast(batch_size - 1, tf.float32)
    # A batch of one has its own example alone
    share = (n - 1) / (n * tf.maximum(m, 1.0))
    weights = tf.fill([batch_size, batch_size], share)
    return tf.math.log(tf.linalg.set_diag(weights, tf.fill([batch_size], 1 / n)))


@keras.saving.register_keras_serializable(package="vae_tf")
class FactorVAE(Penalty):
    """The penalty weight * TC, by a classifier of codes against permuted ones (Kim and Mnih 2018).

    The classifier's logit estimates log q(z) / prod_d q(z_d). The same optimizer trains it on the
    same batches: its loss is added with the value 0, and its weights are constants in the penalty.

    Args:
        weight: gamma.
        latent_dim: L.
        hidden: widths of the classifier's hidden layers.
        seed: seed of its initial weights.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> penalty = vae_tf.objectives.FactorVAE(10.0, latent_dim=2)
        >>> vae = vae_tf.VAE(encoder, decoder, penalties=[penalty])
        >>> vae(np.ones((3, 8))).extra.shape.as_list()  # beside the bound, in nats
        []
    """

    slope = 0.2

    def __init__(
        self,
        weight: float,
        latent_dim: int,
        hidden: Sequence[int] = (256, 256, 256),
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(weight, **kwargs)
        self.latent_dim, self.hidden, self.seed = (
            whole("latent_dim", latent_dim),
            tuple(hidden),
            seed,
        )
        if self.latent_dim < 2:
            fix = "A single latent has no total correlation; drop the penalty."
            raise ConfigError("`latent_dim` must be at least 2", latent_dim, fix)
        widths = (self.latent_dim, *self.hidden, 1)
        self.kernels, self.biases = [], []
        for i, shape in enumerate(itertools.pairwise(widths)):
            last = i == len(self.hidden)  # at first it knows nothing: logit 0
            start = "zeros" if last else keras.initializers.HeNormal(seed=seed + i)
            self.kernels.append(self.add_weight(name=f"kernel_{i}", shape=shape, initializer=start))
            bias = {"shape": shape[1:], "initializer": "zeros"}
            self.biases.append(self.add_weight(name=f"bias_{i}", **bias))

    def logit(self, z: tf.Tensor, fixed: bool) -> tf.Tensor:
        """Returns the classifier's log-odds that `z` [B, L] was not permuted, [B].

        Args:
            z: codes.
            fixed: whether the classifier's weights count as constants.
        """
        as_read = tf.stop_gradient if fixed else tf.identity
        h = z
        for i, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            h = tf.nn.leaky_relu(h, self.slope) if i else h
            h = h @ as_read(kernel.value) + as_read(bias.value)
        return h[:, 0]

    def penalty(self, z: tf.Tensor, inference: Inference) -> tf.Tensor:
        """Returns weight * mean logit, to whose gradient that of the classifier's loss is added."""
        codes = tf.stop_gradient(z)
        real = self.logit(codes, fixed=False)
        permuted = self.logit(permuted_by_dimension(codes, inference.seed), fixed=False)
        loss = 0.5 * tf.reduce_mean(tf.math.softplus(-real) + tf.math.softplus(permuted))
        # Adam does not mind the scale of a gradient, only what it is added to: nothing here
        training = with_gradient_of(tf.zeros_like(loss), loss)
        return self.weight * tf.reduce_mean(self.logit(z, fixed=True)) + training

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        own = {"latent_dim": self.latent_dim, "hidden": self.hidden, "seed": self.seed}
        return {**super().get_config(), **own}


def permuted_by_dimension(z: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns `z` [B, L], each column in a random order of its own."""
    key = tf.random.experimental.stateless_fold_in(seed, 1)
    order = tf.argsort(tf.random.stateless_uniform(tf.shape(z), key), axis=0)
    columns = tf.gather(tf.transpose(z), tf.transpose(order), axis=1, batch_dims=1)
    return tf.transpose(columns)
