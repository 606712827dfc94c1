"""Whether a classifier is right as often as it says."""

import pandas as pd

from callbacks.plots import Plot


def plot_reliability(table: pd.DataFrame) -> Plot:
    """Accuracy against confidence: on the diagonal a classifier is right as often as it says; grey bars are samples.

    Args:
        table: a row for each bin of confidence, with `confidence`, `accuracy` and `samples`.
    """
    figure = Plot(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.bar(table["confidence"], table["samples"] / table["samples"].sum(), width=0.04, color="lightgrey")
    axes.plot(table["confidence"], table["accuracy"], "o-", color="tab:blue")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy; grey: part of the samples")
    axes.grid(alpha=0.3)
    return figure
