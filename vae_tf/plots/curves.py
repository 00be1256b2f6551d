"""Figures of a training's course."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_PANELS = (
    ("elbo", "ELBO (free of beta)"),
    ("nll", "reconstruction, -log p(x|z)"),
    ("kl", "KL(q(z|x) || p(z))"),
)


def learning_curves(history: list[dict], unit: str = "image") -> Figure:
    """Returns a figure of the ELBO, nll and KL by epoch, in nats, for training and validation.

    Args:
        history: a dict for each epoch, with `elbo`, `nll`, `kl`, and `val_elbo`, `val_nll`,
            `val_kl`.
        unit: the word for one example.

    Example:
        >>> epoch = {"elbo": -100.0, "nll": 80.0, "kl": 20.0}
        >>> history = [epoch | {f"val_{name}": value for name, value in epoch.items()}] * 3
        >>> figure = vae_tf.plots.learning_curves(history)
        >>> len(figure.axes)  # the ELBO and its two parts
        3
    """
    figure = Figure((10, 3.2), dpi=150, layout="constrained")
    epochs = range(1, len(history) + 1)
    for axes, (name, title) in zip(figure.subplots(1, 3), _PANELS, strict=True):
        for prefix, label in (("", "training"), ("val_", "validation")):
            values = [logs.get(prefix + name) for logs in history]
            if any(value is not None for value in values):
                marker = "." if len(history) < 20 else None
                axes.plot(epochs, values, marker=marker, label=label, linewidth=1.3)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        _skip_the_first_fall(axes, [logs.get(p + name) for p in ("", "val_") for logs in history])
    figure.axes[0].set_ylabel(f"nats per {unit}")
    figure.axes[0].legend()
    return figure


def _skip_the_first_fall(axes, values: list) -> None:
    """Limits the y axis to the middle 95 % of the values: the first epochs would flatten all."""
    known = sorted(v for v in values if v is not None)
    if len(known) < 40:
        return
    low, high = known[int(0.025 * len(known))], known[int(0.975 * len(known)) - 1]
    margin = 0.08 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)
