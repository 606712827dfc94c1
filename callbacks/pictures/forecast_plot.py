"""Forecasts as curves: the worst, the median and the best window of a validation."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from numpy.typing import NDArray
from torch import Tensor

from lightfit.lightning import OneLightning, pl

from .guard import check_validates, describe_batch, split_batch, watch
from .names import shorten
from .plots import Plot, check_every, is_epoch_due, publish
from .protocols import Windows, find_rows, find_windows, target_names, unscaled

SEEN_PER_STEP = 3  # steps of the look-back that are shown for each step of the forecast
LEAST_SEEN = 8
TITLE_WIDTH = 48  # columns of text above a plot


class Window(NamedTuple):
    """One window: its mean absolute error, what came before (L, C), the truth (P, C), and the forecast (P, C, Q).

    With the time stamps of what came before (L,) and of the steps to forecast (P,), and the name of the series, where
    they are known.
    """

    error: float
    past: Tensor
    truth: Tensor
    forecast: Tensor
    before: NDArray[np.datetime64] | None = None
    after: NDArray[np.datetime64] | None = None
    series: str = ""


def plot_forecasts(windows: dict[str, Window], names: Sequence[str]) -> Plot:
    """Plot a row for each window and a column for each target: history, truth, forecast, and interval if there is one.

    Truth and forecast begin at the last known value.

    Args:
        windows: by title, in the units to show.
        names: names of the targets to show, the first ones of the windows.
    """
    figure = Plot(figsize=(5.2 * len(names) + 1.1, 2.7 * len(windows)), layout="constrained")
    grid = figure.subplots(len(windows), len(names), squeeze=False)
    for row, (title, window) in zip(grid, windows.items(), strict=True):
        for column, (axes, name) in enumerate(zip(row, names, strict=True)):
            _plot_window(axes, window, column)
            series = f"{shorten(window.series, TITLE_WIDTH)}\n" if window.series else ""
            axes.set_title(f"{series}{shorten(name, TITLE_WIDTH - len(title) - 2)}: {title}", fontsize=9)
    if any(window.after is None for window in windows.values()):
        for axes in grid[-1]:
            axes.set_xlabel("steps from the last one known", fontsize=8)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc="outside right upper")
    return figure


def _plot_window(axes: Axes, window: Window, column: int) -> None:
    past = window.past[:, column].double().numpy()
    truth = window.truth[:, column].double().numpy()
    forecast = window.forecast[:, column].double().numpy()  # (P, Q)
    horizon, num_quantiles = forecast.shape
    start = max(len(past) - max(SEEN_PER_STEP * horizon, LEAST_SEEN), 0)
    before: NDArray[Any]
    after: NDArray[Any]
    if window.before is None or window.after is None:
        before, after = np.arange(1 - len(past), 1), np.arange(1, horizon + 1)
    else:
        before, after = window.before, window.after
        locator = AutoDateLocator(minticks=3)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.plot(before[start:], past[start:], color="grey", label="history")
    known = np.flatnonzero(~np.isnan(past))
    if len(known):  # the curves begin where the history ends
        last, level = before[known[-1] :][:1], past[known[-1]]
        after = np.concatenate([last, after])
        truth = np.concatenate([[level], truth])
        forecast = np.concatenate([np.full((1, num_quantiles), level), forecast])
    marker = "o" if horizon == 1 else ""
    axes.plot(after, truth, color="black", marker=marker, markersize=4, label="truth")
    middle = forecast[:, num_quantiles // 2]
    axes.plot(after, middle, color="tab:blue", marker=marker, markersize=4, label="forecast")
    if num_quantiles > 1:
        axes.fill_between(
            after, forecast[:, 0], forecast[:, -1], color="tab:blue", alpha=0.25, linewidth=0, label="interval"
        )
    axes.axvline(after[0], color="grey", linewidth=0.6, linestyle=":")
    axes.margins(x=0.02)
    axes.tick_params(labelsize=8)
    axes.xaxis.get_offset_text().set_fontsize(8)
    axes.yaxis.get_offset_text().set_fontsize(8)
    axes.grid(alpha=0.3)


def place_window(windows: Windows, row: int, forecast: Tensor, *, error: float) -> Window:
    """Return a window in the units of its data, with time stamps and the name of its series.

    Args:
        windows: where the windows lie.
        row: index of the window.
        forecast: scaled forecast, (P, C, Q).
        error: its mean absolute error.
    """
    rows = np.array([row])
    before, past = windows.history(row, max(SEEN_PER_STEP * len(forecast), LEAST_SEEN))
    return Window(
        error,
        torch.from_numpy(past),
        torch.from_numpy(windows.truth(rows)[0]),
        windows.unscale(rows, forecast[None].float())[0],
        before,
        windows.stamps(rows)[0],
        windows.names[int(windows.series[row])],
    )


class _Kept(NamedTuple):
    row: int
    window: Window  # scaled


@watch
class ForecastPlot(OneLightning, pl.Callback):
    """The validation windows with the largest, the median and the smallest mean absolute error.

    In the loggers and as `forecasts/epoch_*.png`, in the units of the data. For any LightningModule whose
    `validation_step` returns a dict with `forecast`, (B, P, C) or quantiles (B, P, C, Q).

    Args:
        num_targets: the most targets to show.
        every_n_epochs: the epochs to show; the last one is always shown.
    """

    def __init__(self, num_targets: int = 3, *, every_n_epochs: int = 1) -> None:
        if num_targets < 1:
            raise ValueError(f"expected num_targets of at least 1, received {num_targets}")
        self.num_targets = num_targets
        self.every_n_epochs = check_every(every_n_epochs)
        self._errors: list[Tensor] = []
        self._kept: list[_Kept] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check that there will be windows to show."""
        check_validates(trainer)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Clear the windows."""
        self._errors, self._kept = [], []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the worst, the median and the best window of a batch."""
        if not trainer.sanity_checking and not is_epoch_due(trainer, self.every_n_epochs):
            return
        forecast = get_forecast(outputs)
        x, y = split_batch(batch)
        if y is None:
            raise ValueError(f"expected batches (x, y) of tensors, received {describe_batch(batch)}")
        if x.ndim != 3 or forecast.shape[:-1] != y.shape or x.shape[2] < y.shape[2]:
            raise ValueError(
                "expected x (B, L, F), y (B, P, C) of the first C features, and 'forecast' (B, P, C) or (B, P, C, Q); "
                f"received x {tuple(x.shape)}, y {tuple(y.shape)}, forecast {tuple(forecast.shape[:-1])}"
            )
        if trainer.sanity_checking:
            return
        errors = (get_point(forecast) - y).abs().nanmean((1, 2))
        rows = find_rows(trainer, sum(map(len, self._errors)), len(y))
        self._errors.append(errors)
        order = errors.argsort()
        for index in {int(order[0]), int(order[len(order) // 2]), int(order[-1])}:
            past = x[index, :, : y.shape[2]]
            window = Window(float(errors[index]), past.clone(), y[index].clone(), forecast[index].clone())
            self._kept.append(_Kept(int(rows[index]), window))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Plot the epoch's."""
        if self._kept and trainer.is_global_zero:
            median = float(torch.cat(self._errors).median())
            chosen = {
                "worst": max(self._kept, key=lambda kept: kept.window.error),
                "median": min(self._kept, key=lambda kept: abs(kept.window.error - median)),
                "best": min(self._kept, key=lambda kept: kept.window.error),
            }
            names = target_names(trainer, chosen["best"].window.truth.shape[1])[: self.num_targets]
            shown = {title: _in_units(trainer, kept) for title, kept in chosen.items()}
            publish(trainer, plot_forecasts(shown, names), "forecasts", step=trainer.current_epoch)
        self._errors, self._kept = [], []


def _in_units(trainer: pl.Trainer, kept: _Kept) -> Window:
    windows, window = find_windows(trainer, "val"), kept.window
    if windows is not None:
        return place_window(windows, kept.row, window.forecast, error=window.error)
    past, truth = (unscaled(trainer, values.float()).cpu() for values in (window.past, window.truth))
    forecast = unscaled(trainer, window.forecast.float().transpose(1, 2)).transpose(1, 2).cpu()
    return Window(window.error, past, truth, forecast)


def get_point(forecast: Tensor) -> Tensor:
    """Return the middle one of quantiles (B, P, C, Q); forecasts (B, P, C) unchanged."""
    return forecast if forecast.ndim == 3 else forecast[..., forecast.shape[3] // 2]


def get_forecast(outputs: Any) -> Tensor:
    """Get the forecasts from the outputs of an evaluation step, (B, P, C, Q) with Q at least 1.

    Raises:
        ValueError: it did not return `forecast`.
    """
    if not isinstance(outputs, dict) or "forecast" not in outputs:
        held = sorted(outputs) if isinstance(outputs, dict) else type(outputs).__name__
        raise ValueError(
            "expected the step to return a dict with 'forecast', (B, P, C) or (B, P, C, Q), as a SeriesForecaster's "
            f"does; received {held}"
        )
    forecast = outputs["forecast"].detach()
    return forecast if forecast.ndim == 4 else forecast[..., None]
