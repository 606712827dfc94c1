"""Forecasts as curves: the worst, the median and the best window of a validation."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightfit.lightning import OneLightning, pl

from .guard import split_batch, watch
from .names import shorten
from .plots import Plot, check_every, is_epoch_due, publish
from .protocols import target_names, unscaled

SEEN_PER_STEP = 3  # steps of the look-back that are shown for each step of the forecast


class Window(NamedTuple):
    """One window: its mean absolute error, what came before (L, C), the truth (P, C), and the forecast (P, C, Q)."""

    error: float
    past: Tensor
    truth: Tensor
    forecast: Tensor


def plot_forecasts(windows: dict[str, Window], names: Sequence[str]) -> Plot:
    """Plot a row for each window and a column for each target: history, truth, forecast, and interval if there is one.

    Args:
        windows: by title, in the units to show.
        names: names of the targets to show, the first ones of the windows.
    """
    figure = Plot(figsize=(5.2 * len(names), 2.7 * len(windows)), layout="constrained")
    grid = figure.subplots(len(windows), len(names), squeeze=False)
    for row, (title, window) in zip(grid, windows.items(), strict=True):
        horizon, quantiles = len(window.truth), window.forecast.shape[-1]
        past = window.past[-max(SEEN_PER_STEP * horizon, 8) :]
        for column, (axes, name) in enumerate(zip(row, names, strict=True)):
            before, after = range(1 - len(past), 1), range(1, horizon + 1)
            marker = "o" if horizon == 1 else ""
            axes.plot(before, past[:, column], color="grey", label="history")
            axes.plot(after, window.truth[:, column], color="black", marker=marker, label="truth")
            middle = window.forecast[:, column, quantiles // 2]
            axes.plot(after, middle, color="tab:blue", marker=marker, label="forecast")
            if quantiles > 1:
                low, high = window.forecast[:, column, 0], window.forecast[:, column, -1]
                axes.fill_between(after, low, high, color="tab:blue", alpha=0.25, label="interval")
            axes.axvline(0.5, color="grey", linewidth=0.6, linestyle=":")
            axes.set_title(f"{shorten(name, 40)}: {title}", fontsize=9)
            axes.tick_params(labelsize=8)
            axes.grid(alpha=0.3)
    for axes in grid[-1]:
        axes.set_xlabel("steps from the last one known", fontsize=8)
    grid[0, 0].legend(fontsize=8)
    return figure


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
        self._kept: list[Window] = []

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
        if not is_epoch_due(trainer, self.every_n_epochs):
            return
        x, y = split_batch(batch)
        if y is None:
            raise ValueError("expected batches (x, y), received no y")
        forecast = get_forecast(outputs)
        errors = (get_point(forecast) - y).abs().nanmean((1, 2))
        self._errors.append(errors)
        order = errors.argsort()
        for index in {int(order[0]), int(order[len(order) // 2]), int(order[-1])}:
            past = x[index, :, : y.shape[2]]
            self._kept.append(Window(float(errors[index]), past.clone(), y[index].clone(), forecast[index].clone()))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Plot the epoch's."""
        if self._kept and trainer.is_global_zero:
            median = float(torch.cat(self._errors).median())
            chosen = {
                "worst": max(self._kept, key=lambda window: window.error),
                "median": min(self._kept, key=lambda window: abs(window.error - median)),
                "best": min(self._kept, key=lambda window: window.error),
            }
            names = target_names(trainer, chosen["best"].truth.shape[1])[: self.num_targets]
            shown = {title: _in_units(trainer, window) for title, window in chosen.items()}
            publish(trainer, plot_forecasts(shown, names), "forecasts", step=trainer.current_epoch)
        self._errors, self._kept = [], []


def _in_units(trainer: pl.Trainer, window: Window) -> Window:
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
