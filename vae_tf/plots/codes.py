"""Figures of codes."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

MOST_NAMED = 20  # classes in a legend


def codes(z: np.ndarray, labels: np.ndarray | None = None) -> Figure:
    """Returns a figure of codes in a 2-D latent space, coloured by label.

    Args:
        z: codes [N, 2].
        labels: classes [N], or None.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(50, 2))
        >>> figure = vae_tf.plots.codes(z, labels=np.arange(50) % 3)
        >>> figure.savefig("codes.png")
    """
    figure = Figure((6, 5), dpi=150, layout="constrained")
    axes = figure.subplots()
    first, second = z.T
    classes = np.unique([] if labels is None else labels)
    if labels is None or len(classes) > MOST_NAMED:
        axes.scatter(first, second, s=4, c=labels, linewidths=0)
    else:
        colours = colormaps["tab10" if len(classes) <= 10 else "tab20"]
        for i, name in enumerate(classes):
            own = labels == name
            axes.scatter(first[own], second[own], s=4, color=colours(i), lw=0, label=str(name))
        figure.legend(loc="outside right center", fontsize=8, markerscale=3)
    axes.set_xlabel("$z_1$")
    axes.set_ylabel("$z_2$")
    axes.set_title("codes of test images in the 2-D latent space", fontsize=9)
    return figure
