"""What Keras's optimizers leave to be remembered by hand, and to be made faster."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="vae_tf")
class KernelAdamW(keras.optimizers.AdamW):
    """AdamW (Loshchilov and Hutter 2019) that decays the kernels of layers, nothing else.

    Biases, learned scales and the prior's parameters are levels to be found, not complexity to
    be kept low. Keras's own list of exclusions is lost when a model is saved; this rule is not.
    """

    def build(self, variables):
        """Makes the optimizer's state, leaving all but kernels out of the decay."""
        if not self.built:
            free = [v for v in variables if not v.path.endswith("kernel")]
            self.exclude_from_weight_decay(var_list=free)
        super().build(variables)


def prepared(optimizer, networks) -> keras.optimizers.Optimizer:
    """Returns the optimizer that `compile` was given, made fit for `networks` and fast.

    It scales the loss if a network computes in float16: Keras does so by the model's own dtype
    policy, and that of a VAE is float32.
    """
    optimizer = keras.optimizers.get(optimizer)
    scaling = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    _fuse(optimizer.inner_optimizer if scaling else optimizer)
    layers = [layer for network in networks for layer in network._flatten_layers()]
    half = any(layer.compute_dtype == "float16" for layer in layers)
    if half and not scaling:
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _fuse(optimizer: keras.optimizers.Optimizer) -> None:
    """Lets Adam, and what inherits its update, update a variable by TensorFlow's own kernel.

    Keras's update of a variable is a dozen operations, each of which reads and writes arrays as
    large as the variable; the kernel reads and writes each once. The object stays the user's:
    its state, its class, what it saves and what may be set on it are as before.
    """
    inherited = type(optimizer).update_step is keras.optimizers.Adam.update_step
    if not inherited or optimizer.amsgrad or "update_step" in vars(optimizer):
        return
    slow = optimizer.update_step

    def update_step(gradient, variable, learning_rate):
        plain = isinstance(variable, tf.Variable) and not isinstance(gradient, tf.IndexedSlices)
        if not plain or tf.distribute.has_strategy():
            return slow(gradient, variable, learning_rate)
        index = optimizer._get_variable_index(variable)
        dtype = variable.dtype
        step = tf.cast(tf.convert_to_tensor(optimizer.iterations) + 1, dtype)
        beta1, beta2 = (tf.cast(beta, dtype) for beta in (optimizer.beta_1, optimizer.beta_2))
        return tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=optimizer._momentums[index].value.handle,
            v=optimizer._velocities[index].value.handle,
            beta1_power=beta1**step,
            beta2_power=beta2**step,
            lr=tf.cast(learning_rate, dtype),
            beta1=beta1,
            beta2=beta2,
            epsilon=tf.cast(optimizer.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )

    optimizer.update_step = update_step
