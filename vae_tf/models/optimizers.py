"""What Keras's optimizers leave to be remembered by hand."""

import keras


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


def with_loss_scaling(optimizer, networks) -> keras.optimizers.Optimizer:
    """Returns the optimizer, scaling the loss if a network computes in float16.

    Keras does so by the model's own dtype policy, and that of a VAE is float32.
    """
    optimizer = keras.optimizers.get(optimizer)
    layers = [layer for network in networks for layer in network._flatten_layers()]
    half = any(layer.compute_dtype == "float16" for layer in layers)
    if half and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
