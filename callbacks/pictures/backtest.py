"""Errors of forecasts at each step of the horizon and for each target, over every origin of the test split."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from lightfit.lightning import OneLightning, pl

from .forecast_plot import get_forecast, get_point
from .guard import gather, split_batch, tell_stopped, watch, why_stopped
from .plots import Plot, publish, run_folder, write_csv
from .protocols import target_names, unscaled

ALL = "all"  # in place of a target or a step


def backtest(
    model: nn.Module,
    loader: Iterable[tuple[Tensor, Tensor]],
    *,
    names: Sequence[str] | None = None,
    unscale: Callable[[Tensor], Tensor] = lambda y: y,
) -> pd.DataFrame:
    """Compare forecasts from every window of a loader with the truth (rolling origin); the model stays unchanged.

    Args:
        model: windows (B, L, F) to forecasts (B, P, C), or to quantiles (B, P, C, Q), of which the middle one counts.
        loader: batches (x, y), such as `data.test_dataloader()`.
        names: names of the targets; their indices where there are none.
        unscale: from what the model forecasts, (..., C), to the units of the table, such as `data.unscale`.

    Returns:
        The rows of `ErrorTable.table`.
    """
    errors, mode = ErrorTable(), model.training
    try:
        model.eval()
        with torch.no_grad():
            for x, y in loader:
                errors.add(unscale(get_point(model(x))), unscale(y))
    finally:
        model.train(mode)
    return errors.table(names)


class ErrorTable:
    """Sums of errors by step and target, on the device until they are read."""

    def __init__(self) -> None:
        self.sums: Tensor | None = None

    def add(self, forecast: Tensor, y: Tensor) -> None:
        """Add forecasts and the truth, both (B, P, C); unknown values, NaN, are skipped.

        Raises:
            ValueError: their shapes differ.
        """
        if forecast.shape != y.shape:
            raise ValueError(f"expected forecasts {tuple(y.shape)} as the truth, received {tuple(forecast.shape)}")
        error, known = (forecast - y).detach().double().nan_to_num(), ~y.isnan()
        terms = torch.stack([error.abs(), error.square(), error]) * known
        sums = torch.cat([terms.sum(1), known.sum(0)[None].double()])  # (4, P, C)
        self.sums = sums if self.sums is None else self.sums + sums

    def table(self, names: Sequence[str] | None = None) -> pd.DataFrame:
        """Tabulate each step and target, then each step, each target, and all of them.

        Columns: step (from 1, or `all`), target, mae, rmse, bias (the mean of forecast less truth), values (how many).
        """
        assert self.sums is not None, "no forecasts were counted"
        sums = self.sums.cpu()
        names = list(names) if names is not None else [str(index) for index in range(sums.shape[2])]
        steps = [str(step + 1) for step in range(sums.shape[1])]
        views = [(sums, steps, names), (sums.sum(2, keepdim=True), steps, [ALL])]
        views += [(sums.sum(1, keepdim=True), [ALL], names), (sums.sum((1, 2), keepdim=True), [ALL], [ALL])]
        rows = [
            (step, name, *_scores(view[:, row, column]))
            for view, view_steps, view_names in views
            for row, step in enumerate(view_steps)
            for column, name in enumerate(view_names)
        ]
        return pd.DataFrame(rows, columns=["step", "target", "mae", "rmse", "bias", "values"])


def _scores(sums: Tensor) -> tuple[float, float, float, int]:
    absolute, square, error, count = sums.tolist()
    known = count or float("nan")
    return absolute / known, (square / known) ** 0.5, error / known, int(count)


def plot_backtest(table: pd.DataFrame) -> Plot:
    """Plot the mean absolute error of each target at each step of the horizon.

    Args:
        table: what `backtest` returned.
    """
    figure = Plot(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.subplots()
    by_step = table[(table["step"] != ALL) & (table["target"] != ALL)]
    for target, rows in by_step.groupby("target", sort=False):
        axes.plot(rows["step"].astype(int), rows["mae"], marker="o" if len(rows) == 1 else "", label=str(target))
    axes.set_xlabel("step of the horizon")
    axes.set_ylabel("mean absolute error")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


@watch
class Backtest(OneLightning, pl.Callback):
    """The errors of the test split by step and target: `backtest.csv`, and `backtest/epoch_*.png`, also in the loggers.

    In the units of the data. For any LightningModule whose `test_step` returns a dict with `forecast`, (B, P, C) or
    quantiles (B, P, C, Q).
    """

    joint_hooks = ("on_test_epoch_end",)

    def __init__(self) -> None:
        self._errors = ErrorTable()

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Clear the sums."""
        self._errors = ErrorTable()

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add a batch."""
        point, y = get_point(get_forecast(outputs)), split_batch(batch)[1]
        if y is None:
            raise ValueError("expected batches (x, y), received no y")
        self._errors.add(unscaled(trainer, point.float()), unscaled(trainer, y.float()))

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the table and plot it."""
        own = self._errors.sums
        shares = gather(trainer, why_stopped(self, trainer) or (None if own is None else own.cpu()))
        if reasons := [share for share in shares if isinstance(share, str)]:
            tell_stopped(self, trainer, reasons[0])
            return
        sums = [share for share in shares if share is not None]
        if not trainer.is_global_zero or not sums:
            return
        self._errors.sums = torch.stack(sums).sum(0)
        table = self._errors.table(target_names(trainer, self._errors.sums.shape[2]))
        path = run_folder(trainer) / "backtest.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_csv(table, path)
        publish(trainer, plot_backtest(table), "backtest", step=trainer.current_epoch)
