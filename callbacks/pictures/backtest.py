"""Errors of forecasts at each step of the horizon and for each target, over every origin of the test split."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor, nn

from lightfit.lightning import OneLightning, pl

from ..logs.run_folder import make_run_folder, write_csv
from .forecast_plot import get_forecast, get_point
from .guard import describe_batch, gather, split_batch, tell_stopped, watch, why_stopped
from .names import shorten
from .plots import Plot, publish
from .protocols import Windows, find_rows, find_windows, target_names, unscaled

ALL = "all"  # in place of a target or a step
NET = "forecast"  # name of the curve of the net, beside those of the naive forecasts
MOST_PLOTTED = 6  # targets
PANELS_IN_ROW = 3
MOST_SUMS = 4_000_000  # series times steps: beyond it, there are no curves by series


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


Curves = Mapping[str, NDArray[np.float64]]


class BacktestSums:
    """Sums of the errors of forecasts, and where the windows are known, of the naive forecasts, and by series.

    Args:
        windows: where the windows lie; None: only the forecasts are counted.
    """

    def __init__(self, windows: Windows | None = None) -> None:
        self.windows = windows
        self.tables: dict[str, ErrorTable] = {}
        self.by_series: dict[str, NDArray[np.float64]] = {}  # sums of scaled errors and counts, (2, S, P)

    def add(self, rows: NDArray[np.int64], forecast: Tensor, y: Tensor) -> None:
        """Add the forecasts of some windows, (m, P, C), and the truth, in the units of the data."""
        self.tables.setdefault(NET, ErrorTable()).add(forecast, y)
        if self.windows is None:
            return
        naive = self.windows.forecast_naive(rows)
        for name, own in naive.items():
            self.tables.setdefault(name, ErrorTable()).add(torch.from_numpy(own), y.cpu())
        num_series = len(self.windows.names)
        if num_series > 1 and num_series * y.shape[1] <= MOST_SUMS:
            truth, divisor = y.cpu().double().numpy(), self.windows.naive_error[rows][:, None]
            for name, own in {NET: forecast.cpu().double().numpy(), **naive}.items():
                scaled = np.abs(own - truth) / np.where(divisor > 0, divisor, np.nan)
                sums = np.stack([np.nan_to_num(scaled).sum(2), (~np.isnan(scaled)).sum(2)])  # (2, m, P)
                held = self.by_series.setdefault(name, np.zeros((2, num_series, y.shape[1])))
                series = self.windows.series[rows]
                for total, part in zip(held, sums, strict=True):
                    np.add.at(total, series, part)

    def merge(self, other: "BacktestSums") -> None:
        """Add the sums of another rank."""
        for name, table in other.tables.items():
            own = self.tables.setdefault(name, ErrorTable())
            own.sums = table.sums if own.sums is None or table.sums is None else own.sums + table.sums
        for name, sums in other.by_series.items():
            self.by_series[name] = self.by_series[name] + sums if name in self.by_series else sums

    def plot(self, names: Sequence[str]) -> Plot:
        """Plot the errors by step: of each target, with the naive forecasts, and of the worst, median and best series.

        Args:
            names: names of the targets.
        """
        tables = {name: table.table(names) for name, table in self.tables.items()}
        return plot_backtest(tables.pop(NET), naive=tables, series=self._choose_series())

    def _choose_series(self) -> dict[str, Curves]:
        """Return MASE by step of the worst, the median and the best series, by title."""
        if not self.by_series:
            return {}
        assert self.windows is not None
        sums, counts = self.by_series[NET].sum(2)
        with np.errstate(invalid="ignore", divide="ignore"):
            order = np.argsort(sums / counts)[: int((counts > 0).sum())]  # NaN is last
            curves = {name: own[0] / own[1] for name, own in self.by_series.items()}
        if not len(order):
            return {}
        chosen = {"worst": order[-1], "median": order[len(order) // 2], "best": order[0]}
        return {
            f"{shorten(self.windows.names[index], 30)}: {title}": {name: own[index] for name, own in curves.items()}
            for title, index in chosen.items()
        }


def plot_backtest(
    table: pd.DataFrame, *, naive: Mapping[str, pd.DataFrame] = {}, series: Mapping[str, Curves] = {}
) -> Plot:
    """Plot the mean absolute error of each target at each step of the horizon.

    Args:
        table: what `backtest` returned.
        naive: such tables of naive forecasts, by name.
        series: curves of some series by title, each with MASE by step (P,) by name of the forecast.
    """
    targets = [target for target in table["target"].unique() if target != ALL]
    shown = targets[:MOST_PLOTTED]
    tables = {NET: table, **naive}
    panels: list[tuple[str, str, Curves]] = [
        (
            shorten(str(target), 30),
            "mean absolute error",
            {
                name: own[(own["step"] != ALL) & (own["target"] == target)]["mae"].to_numpy()
                for name, own in tables.items()
            },
        )
        for target in shown
    ]
    panels += [(title, "MASE", curves) for title, curves in series.items()]
    columns = min(PANELS_IN_ROW, max(len(shown), len(series)))
    rows = -(-len(shown) // columns) + -(-len(series) // columns)
    size = (7.2, 4.0) if len(panels) == 1 else (3.6 * columns + 1.5, 2.6 * rows + 0.3)
    figure = Plot(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    places = [*range(len(shown)), *(len(grid) - columns * -(-len(series) // columns) + i for i in range(len(series)))]
    for index in set(range(len(grid))) - set(places):
        grid[index].set_axis_off()
    for index, (place, (title, label, curves)) in enumerate(zip(places, panels, strict=True)):
        axes = grid[place]
        for order, (name, values) in enumerate(curves.items()):
            style: dict[str, Any] = {} if name == NET else {"linestyle": ("--", ":")[(order - 1) % 2]}
            colour = "tab:blue" if name == NET else ("tab:orange", "grey", "tab:green")[(order - 1) % 3]
            steps = np.arange(1, len(values) + 1)
            axes.plot(steps, values, marker="o" if len(values) == 1 else "", color=colour, label=name, **style)
        axes.set_title(title, fontsize=9)
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if axes.get_xlim()[1] < 1.5:  # a single step
            axes.set_xlim(0, 2)
        axes.tick_params(labelsize=8)
        axes.yaxis.get_offset_text().set_fontsize(8)
        axes.grid(alpha=0.3)
        if index in (0, len(shown)) or place % columns == 0:
            axes.set_ylabel(label, fontsize=8)
        axes.set_xlabel("step of the horizon", fontsize=8)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc="outside right upper")
    if len(targets) > len(shown):
        figure.suptitle(f"the first {len(shown)} of {len(targets)} targets", fontsize=9)
    return figure


@watch
class Backtest(OneLightning, pl.Callback):
    """The errors of the test split by step and target: `backtest.csv`, and `backtest/epoch_*.png`, also in the loggers.

    In the units of the data. The picture has the naive forecasts too, and the worst, the median and the best series,
    where the data is that of a SeriesDataModule. For any LightningModule whose `test_step` returns a dict with
    `forecast`, (B, P, C) or quantiles (B, P, C, Q).
    """

    joint_hooks = ("on_test_epoch_end",)

    def __init__(self) -> None:
        self._sums = BacktestSums()
        self._seen = 0

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Clear the sums."""
        self._sums, self._seen = BacktestSums(find_windows(trainer, "test")), 0

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
            raise ValueError(f"expected batches (x, y) of tensors, received {describe_batch(batch)}")
        rows = find_rows(trainer, self._seen, len(y))
        self._seen += len(y)
        windows = self._sums.windows
        if windows is None:
            self._sums.add(rows, unscaled(trainer, point.float()), unscaled(trainer, y.float()))
        else:
            truth = torch.from_numpy(windows.truth(rows))
            self._sums.add(rows, windows.unscale(rows, point.float()), truth)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the table and plot it."""
        own = BacktestSums()  # what is sent to other ranks holds no data
        own.by_series = self._sums.by_series
        for name, table in self._sums.tables.items():
            own.tables[name] = ErrorTable()
            own.tables[name].sums = None if table.sums is None else table.sums.cpu()
        shares = gather(trainer, why_stopped(self, trainer) or own)
        if reasons := [share for share in shares if isinstance(share, str)]:
            tell_stopped(self, trainer, reasons[0])
            return
        if not trainer.is_global_zero:
            return
        total = BacktestSums(self._sums.windows)
        for share in shares:
            total.merge(share)
        if NET not in total.tables:
            return
        sums = total.tables[NET].sums
        assert sums is not None
        names = target_names(trainer, sums.shape[2])
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            write_csv(total.tables[NET].table(names), make_run_folder(trainer) / "backtest.csv")
        publish(trainer, total.plot(names), "backtest", step=trainer.current_epoch)
