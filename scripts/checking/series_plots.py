"""Plots of series before training: with their splits, by season, and where values are missing."""

from collections.abc import Mapping

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from lightfit.callbacks.pictures.names import shorten
from lightfit.callbacks.pictures.plots import Plot
from lightfit.datamodules.series.findings import Curve, Sketch

COLOURS = {"train": "tab:blue", "val": "tab:orange", "test": "tab:green"}
PANELS_IN_ROW = 3
MOST_NAMED = 30  # series whose names fit beside the map


def plot_series(sketch: Sketch) -> Mapping[str, Plot]:
    """Plot what was found in series, by title."""
    plots = {"series and their splits": plot_curves(sketch)}
    if sketch.cycles:
        plots["seasons"] = plot_seasons(sketch)
    if len(sketch.names) > 1 or np.nan_to_num(sketch.missing).any():
        plots["missing steps and values"] = plot_missing(sketch)
    return plots


def plot_curves(sketch: Sketch) -> Plot:
    """Plot the series of a sketch, one below the other, each split in its colour."""
    curves = sketch.curves
    figure = Plot(figsize=(9.6, 1.75 * len(curves) + 0.5), layout="constrained")
    for axes, curve in zip(figure.subplots(len(curves), 1, squeeze=False)[:, 0], curves, strict=True):
        for split, (begin, end) in _list_spans(curve).items():
            own = slice(max(begin - 1, 0), end)  # from the last one before, so that there is no gap
            marker = "." if len(curve.times) < 60 else ""
            axes.plot(curve.times[own], curve.values[own], color=COLOURS[split], linewidth=0.9, marker=marker)
        locator = AutoDateLocator(minticks=3)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        name = f"{shorten(curve.name, 50)}: " if curve.name else ""
        axes.set_title(f"{name}{shorten(sketch.target, 40)}", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.yaxis.get_offset_text().set_fontsize(8)
        axes.xaxis.get_offset_text().set_fontsize(8)
        axes.margins(x=0.01)
        axes.grid(alpha=0.3)
    present = [split for split in COLOURS if any(split in _list_spans(curve) for curve in curves)]
    for split in present:
        figure.axes[0].plot([], [], color=COLOURS[split], label=split)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), fontsize=8, loc="outside right upper")
    return figure


def _list_spans(curve: Curve) -> dict[str, tuple[int, int]]:
    """Return the first row and the row after the last one of each split."""
    begins = {"train": 0} | {
        split: int(np.searchsorted(curve.times, time)) for split, time in curve.borders.items() if split in COLOURS
    }
    ends = [*list(begins.values())[1:], len(curve.times)]
    return {split: (begin, end) for (split, begin), end in zip(begins.items(), ends, strict=True) if end > begin}


def plot_seasons(sketch: Sketch) -> Plot:
    """Plot the last seasons of each series over each other, with their median."""
    columns = min(PANELS_IN_ROW, len(sketch.cycles))
    rows = -(-len(sketch.cycles) // columns)
    figure = Plot(figsize=(3.6 * columns, 2.4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axes in grid[len(sketch.cycles) :]:
        axes.set_axis_off()
    for axes, (name, cycles) in zip(grid, sketch.cycles.items(), strict=False):
        steps = np.arange(1, cycles.shape[1] + 1)
        axes.plot(steps, cycles.T, color="tab:blue", alpha=min(1.0, 3 / len(cycles) + 0.05), linewidth=0.7)
        held = ~np.isnan(cycles).all(0)
        middle = np.full(len(steps), np.nan)
        middle[held] = np.nanmedian(cycles[:, held], 0)
        axes.plot(steps, middle, color="black", linewidth=1.8)
        axes.set_title(shorten(name or sketch.target, 34), fontsize=9)
        axes.set_xlabel(f"step of the season; {len(cycles)} seasons, black: their median", fontsize=7)
        axes.tick_params(labelsize=8)
        axes.yaxis.get_offset_text().set_fontsize(8)
        axes.grid(alpha=0.3)
    return figure


def plot_missing(sketch: Sketch) -> Plot:
    """Plot a map of series by time: red where values are missing, grey where there is no series."""
    num_series = len(sketch.names)
    height = max(0.17 * min(num_series, 60), 0.5) + 0.9
    figure = Plot(figsize=(9.6, height), layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("lightgrey")
    extent = (float(date2num(sketch.begin)), float(date2num(sketch.end)), num_series - 0.5, -0.5)
    image = axes.imshow(
        np.ma.masked_invalid(sketch.missing),
        aspect="auto",
        cmap="Reds",
        vmin=0,
        vmax=1,
        extent=extent,
        interpolation="nearest",
    )
    axes.xaxis_date()
    locator = AutoDateLocator(minticks=3)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    shown = np.unique(np.linspace(0, num_series - 1, min(num_series, MOST_NAMED)).round().astype(int))
    axes.set_yticks(shown, [shorten(sketch.names[index] or sketch.target, 26) for index in shown])
    axes.tick_params(labelsize=7)
    axes.xaxis.get_offset_text().set_fontsize(7)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.01)
    bar.set_label("fraction missing", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure
