"""What a training step cannot do without: multiplications, and bytes that move."""

from math import prod

BYTES = 4  # weights, gradients and Adam's state are float32 whatever the layers compute in
# Weights are read forward and backward, their gradient is written; Adam reads gradient, weight
# and two moments and writes the latter three.
PASSES_OVER_WEIGHTS = 2 + 1 + 4 + 3

Layer = tuple[int, tuple[int, ...]]  # how often the kernel is applied to an image, its shape


def mlp(size: int = 784, width: int = 500, latent_dim: int = 32) -> list[Layer]:
    """Returns the layers of 784-500-500-32 and back."""
    encoder = [(1, (size, width)), (1, (width, width)), (1, (width, 2 * latent_dim))]
    return [*encoder, (1, (latent_dim, width)), (1, (width, width)), (1, (width, size))]


def conv(side: int = 28, latent_dim: int = 2, hidden: int = 16) -> list[Layer]:
    """Returns the layers of keras.io's conv VAE."""
    half, quarter = (side // 2) ** 2, (side // 4) ** 2
    flat = quarter * 64
    return [
        (half, (3, 3, 1, 32)),
        (quarter, (3, 3, 32, 64)),
        (1, (flat, hidden)),
        (1, (hidden, 2 * latent_dim)),
        (1, (latent_dim, flat)),
        (quarter, (3, 3, 64, 64)),  # transposed: once for each of its inputs
        (half, (3, 3, 64, 32)),
        (side**2, (3, 3, 32, 1)),
    ]


def ladder(size: int = 784, width: int = 500, top: int = 8, below: int = 40) -> list[Layer]:
    """Returns the layers of two groups of latents: up, the top, prior, posterior, down."""
    up = [(1, (size, width)), (1, (width, width)), (1, (width, 2 * top))]
    prior = [(1, (top, width)), (1, (width, 2 * below))]
    posterior = [(1, (2 * width, width)), (1, (width, 2 * below))]
    down = [(1, (top, width)), (1, (width + below, width)), (1, (width, size))]
    return [*up, *prior, *posterior, *down]


NETWORKS = {"mlp": mlp, "conv": conv, "ladder": ladder}


def flops_per_image(network: str) -> int:
    """Returns the floating-point operations of a training image: three times the forward pass."""
    return 3 * sum(2 * times * prod(kernel) for times, kernel in NETWORKS[network]())


def flops_per_draw() -> int:
    """Returns the floating-point operations of decoding a z by the MLP."""
    return sum(2 * times * prod(kernel) for times, kernel in mlp()[3:])


def weights(network: str) -> int:
    """Returns the number of weights, biases left out."""
    return sum(prod(kernel) for _, kernel in NETWORKS[network]())


def bytes_per_step(network: str) -> int:
    """Returns the bytes that move in a step if no weight stays in a cache; no activations."""
    return PASSES_OVER_WEIGHTS * BYTES * weights(network)
