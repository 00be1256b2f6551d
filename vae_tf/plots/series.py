"""Pictures of series: what was observed, and what a model makes of it."""

import numpy as np
from matplotlib.figure import Figure

INCHES = 2.2


def series(x, mean) -> Figure:
    """Returns a figure with a row of axes for each column, observations as points, the mean a line.

    Args:
        x: observed series [N, T, D], NaN where a number is missing.
        mean: E[x|z], [N, T, D].

    Example:
        >>> mean = np.zeros((3, 20, 2))  # three series of two columns
        >>> figure = vae_tf.plots.series(mean + 1, mean)
        >>> len(figure.axes)
        6
    """
    x, mean = np.asarray(x), np.asarray(mean)
    number, _, columns = x.shape
    figure = Figure(figsize=(INCHES * number, INCHES * columns), layout="constrained")
    axes = figure.subplots(columns, number, squeeze=False, sharey="row")
    for i, of_series in enumerate(axes.T):
        for column, axis in enumerate(of_series):
            known = ~np.isnan(x[i, :, column])
            until = 1 + int(np.flatnonzero(known)[-1]) if known.any() else 0
            axis.plot(x[i, :, column], ".", color="tab:blue", markersize=3)
            axis.plot(mean[i, :until, column], color="tab:orange", linewidth=1)
    return figure
