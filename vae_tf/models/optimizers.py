"""What Keras's optimizers leave to be remembered by hand, and to be made faster."""

import keras
import tensorflow as tf

from vae_tf.errors import ConfigError
from vae_tf.objectives import replicas

# Strategies whose replicas each have a copy of every variable
COPIES = (tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy)


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


def prepared(optimizer, networks, several: bool = False) -> keras.optimizers.Optimizer:
    """Returns the optimizer that `compile` was given, made fit for `networks` and fast.

    It scales the loss if a network computes in float16: Keras does so by the model's own dtype
    policy, and that of a VAE is float32.

    Args:
        optimizer: an optimizer, or Keras's name of one.
        networks: whose variables it updates.
        several: whether several replicas train together.

    Raises:
        ConfigError: several replicas, and an optimizer that does not do the same in every step.
    """
    optimizer = keras.optimizers.get(optimizer)
    scaling = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    inner = optimizer.inner_optimizer if scaling else optimizer
    if several:
        _refuse_conditions(inner)
        _sum_first(inner)
    _fuse(inner)
    layers = [layer for network in networks for layer in network._flatten_layers()]
    half = any(layer.compute_dtype == "float16" for layer in layers)
    if half and not scaling:
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _refuse_conditions(optimizer: keras.optimizers.Optimizer) -> None:
    """Refuses what an optimizer does in some steps alone: replicas cannot add up in a branch."""
    steps, often = optimizer.gradient_accumulation_steps, optimizer.ema_overwrite_frequency
    if steps:
        fix, received = "Drop it, and take larger batches.", f"gradient_accumulation_steps={steps}"
    elif optimizer.use_ema and often:
        fix = "Drop it; `fit` puts the averages in place when it ends."
        received = f"ema_overwrite_frequency={often}"
    else:
        return
    raise ConfigError(
        "The optimizer of several replicas must do the same in each step", received, fix
    )


def _sum_first(optimizer: keras.optimizers.Optimizer) -> None:
    """Lets an optimizer add the gradients of all replicas before it clips or accumulates them.

    Keras clips those of each replica and adds what is left, which is another step than that of
    one device.
    """
    if "_all_reduce_sum_gradients" in vars(optimizer):
        return
    apply = optimizer._backend_apply_gradients

    def apply_sums(gradients, variables):
        apply(replicas.total([tf.convert_to_tensor(g) for g in gradients]), variables)

    optimizer._backend_apply_gradients = apply_sums
    optimizer._all_reduce_sum_gradients = list


def _fuse(optimizer: keras.optimizers.Optimizer) -> None:
    """Lets Adam, and what inherits its update, update a variable by TensorFlow's own kernel.

    Keras's update of a variable is a dozen operations, each of which reads and writes arrays as
    large as the variable; the kernel reads and writes each once. A variable is updated as soon as
    its gradient is known, while the others' are computed; in Keras a sum over replicas, though
    there is one, has all wait for the last. The object stays the user's: its state, its class,
    what it saves and what may be set on it are as before.
    """
    adam, own = keras.optimizers.Adam, ("update_step", "_backend_update_step")
    inherited = all(getattr(type(optimizer), name) is getattr(adam, name) for name in own)
    if not inherited or optimizer.amsgrad or vars(optimizer).keys() & set(own):
        return
    slow = optimizer._backend_update_step

    def update(gradients, variables, learning_rate):
        pairs = list(zip(gradients, variables, strict=True))
        rest = [pair for pair in pairs if not _fusible(*pair)]
        if rest:
            slow(*zip(*rest, strict=True), learning_rate)
        of_dtype: dict[str, dict] = {}
        for gradient, variable in pairs:
            if _fusible(gradient, variable):
                dtype = variable.dtype
                if dtype not in of_dtype:
                    of_dtype[dtype] = _numbers_of_adam(optimizer, learning_rate, dtype)
                index = optimizer._get_variable_index(variable)
                tf.raw_ops.ResourceApplyAdam(
                    var=variable.value.handle,
                    m=optimizer._momentums[index].value.handle,
                    v=optimizer._velocities[index].value.handle,
                    grad=tf.cast(gradient, dtype),
                    **of_dtype[dtype],
                )

    optimizer._backend_update_step = update


def _fusible(gradient, variable) -> bool:
    """Returns whether the kernel can update this variable: densely, and each replica its copy."""
    if not isinstance(getattr(variable, "value", None), tf.Variable):
        return False
    copies = not tf.distribute.has_strategy() or isinstance(tf.distribute.get_strategy(), COPIES)
    own = copies and not tf.distribute.in_cross_replica_context()
    return own and not isinstance(gradient, tf.IndexedSlices)


def _numbers_of_adam(optimizer: keras.optimizers.Adam, learning_rate, dtype: str) -> dict:
    """Returns what the kernel is told beside the arrays, the same for all variables."""
    step = tf.cast(tf.convert_to_tensor(optimizer.iterations) + 1, dtype)
    beta1, beta2 = (tf.cast(beta, dtype) for beta in (optimizer.beta_1, optimizer.beta_2))
    return {
        "beta1_power": beta1**step,
        "beta2_power": beta2**step,
        "lr": tf.cast(learning_rate, dtype),
        "beta1": beta1,
        "beta2": beta2,
        "epsilon": tf.cast(optimizer.epsilon, dtype),
    }
