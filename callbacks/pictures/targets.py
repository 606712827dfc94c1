"""How well sets of labels and numbers are predicted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .plots import Plot

MOST_CURVES = 10  # with more labels, those of the most samples
MOST_POINTS = 2000  # of a scatter plot

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def plot_precision_recall(curves: dict[str, Curve], points: dict[str, tuple[float, float]]) -> Plot:
    """Plot precision against recall of each label; a dot is at the threshold that is used.

    Args:
        curves: recall and precision of each label by rising threshold; the first `MOST_CURVES` are drawn.
        points: recall and precision of each label at its threshold.
    """
    figure = Plot(figsize=(5.6, 4.4), layout="constrained")
    axes = figure.subplots()
    for index, (name, (recall, precision)) in enumerate(list(curves.items())[:MOST_CURVES]):
        colour = f"C{index}"
        axes.plot(recall, precision, color=colour, label=name if len(name) <= 30 else f"{name[:27]}...")
        axes.plot(*points[name], "o", color=colour)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("recall")
    axes.set_ylabel("precision; dots: at the threshold")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower left")
    return figure


def plot_predicted_against_true(
    names: Sequence[str], true: NDArray[np.float64], predicted: NDArray[np.float64], radius: NDArray[np.float64]
) -> Plot:
    """Plot predicted against true numbers: on the diagonal they are equal; the band is the interval.

    Args:
        names: of the numbers.
        true: (N, K), in the units of the data.
        predicted: (N, K), likewise.
        radius: half the width of the interval of each number, (K,); NaN where there is none.
    """
    figure = Plot(figsize=(4.4 * len(names) + 0.4, 4.2), layout="constrained")
    places = figure.subplots(1, len(names), squeeze=False)[0]
    shown = np.linspace(0, len(true) - 1, min(len(true), MOST_POINTS)).astype(int)
    for column, (name, axes) in enumerate(zip(names, places, strict=True)):
        ends = np.array([true[:, column].min(), true[:, column].max()])
        axes.plot(ends, ends, color="grey", linestyle=":")
        if np.isfinite(radius[column]):
            axes.fill_between(ends, ends - radius[column], ends + radius[column], color="tab:blue", alpha=0.12)
        axes.plot(true[shown, column], predicted[shown, column], ".", color="tab:blue", alpha=0.5, markersize=4)
        axes.set_xlabel(f"true {name}")
        axes.set_ylabel(f"predicted {name}")
        axes.grid(alpha=0.3)
    return figure
