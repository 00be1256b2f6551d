"""Samples of several models beside data."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from vae_tf.plots.images import tile

BINS, SHOWN_ROWS, SHOWN_IMAGES, IMAGES_IN_A_ROW = 25, 1000, 36, 6


def side_by_side(samples: Mapping[str, np.ndarray], columns: Sequence[str] = ()) -> Figure:
    """Returns a figure with a panel for each of `samples`, all on the axes of the first.

    Args:
        samples: images [N, H, W, C] or rows [N, D] by title. Rows are drawn as a histogram of their
            only column, or as a scatter plot of the first two.
        columns: the names of the columns.

    Example:
        >>> normal = np.random.default_rng(0).normal(size=(100, 2))
        >>> samples = {"data": normal, "model": 2 * normal}
        >>> figure = vae_tf.plots.side_by_side(samples, columns=["width", "height"])
        >>> [axes.get_title() for axes in figure.axes]
        ['data', 'model']
    """
    figure = Figure((2.6 * len(samples), 2.9), dpi=120, layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(samples)))
    first = next(iter(samples.values()))
    for axes, (title, drawn) in zip(panels, samples.items(), strict=True):
        axes.set_title(title, fontsize=9)
        if drawn.ndim == 4:
            picture = np.clip(tile(drawn[:SHOWN_IMAGES], IMAGES_IN_A_ROW), 0, 1)
            axes.imshow(picture.squeeze(-1) if picture.shape[-1] == 1 else picture, cmap="gray")
            axes.set_axis_off()
            continue
        low, high = np.quantile(first, (0.002, 0.998), axis=0)
        margin = 0.1 * (high - low)
        ends = (low[0] - margin[0], high[0] + margin[0])
        axes.set_xlim(*ends)
        axes.set_xlabel(columns[0] if columns else "", fontsize=8)
        axes.tick_params(labelsize=7)
        if drawn.shape[1] == 1:
            axes.hist(drawn[:, 0], list(np.linspace(*ends, BINS)), density=True)
            axes.set_yticks([])
            continue
        axes.scatter(*drawn[:SHOWN_ROWS, :2].T, s=3, alpha=0.4, linewidths=0)
        axes.set_ylim(low[1] - margin[1], high[1] + margin[1])
        axes.set_ylabel(columns[1] if columns and axes is panels[0] else "", fontsize=8)
    return figure
