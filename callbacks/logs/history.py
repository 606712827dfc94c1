"""The history on disk: a table and a plot that grow with the run."""

import time
from typing import TYPE_CHECKING, Any

import pandas as pd

from lightfit.extras import importing_extra
from lightfit.lightning import OneLightning, pl

from ..pictures.guard import describe_error, warn_once

if TYPE_CHECKING:
    from ..pictures.plots import Plot  # with matplotlib, which is imported when a curve is drawn

REDRAW_S = 10.0


def plot_metric(history: pd.DataFrame, metric: str) -> "Plot":
    """Plot a metric in training, and in validation where the history has it, over the epochs.

    Args:
        history: `LightModel.history`, or a DataFrame read from a history.csv.
        metric: name of the metric as logged in training, such as "loss".

    Raises:
        KeyError: the history has neither the metric nor its validation.
    """
    curves = [name for name in (metric, f"val_{metric}") if name in history]
    if not curves:
        raise KeyError(f"the history has no metric '{metric}'; it has: {', '.join(map(str, history.columns))}")
    with importing_extra("the plot of a history"):
        from ..pictures.plots import Plot

    figure = Plot(figsize=(6.4, 4.0), layout="constrained")
    _draw(figure.subplots(), history, metric)
    return figure


def plot_history(history: pd.DataFrame) -> "Plot":
    """Plot all metrics, one panel each, over the epochs."""
    with importing_extra("the plot of a history"):
        from ..pictures.plots import Plot

    names = [str(name).removeprefix("val_") for name in history.columns if name != "epoch"]
    metrics = list(dict.fromkeys(names))
    figure = Plot(figsize=(5.2 * max(len(metrics), 1), 4.0), layout="constrained")
    for axes, metric in zip(figure.subplots(1, max(len(metrics), 1), squeeze=False)[0], metrics, strict=False):
        _draw(axes, history, metric)
    return figure


def _draw(axes: Any, history: pd.DataFrame, metric: str) -> None:
    for name, label, style in ((metric, "train", "o--"), (f"val_{metric}", "validation", "o-")):
        if name in history:
            points = history[["epoch", name]].dropna()
            axes.plot(points["epoch"], points[name], style, label=label, markersize=4)
    axes.set_xlabel("epoch")
    axes.set_ylabel(metric)
    axes.set_title(metric)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend()


class HistoryFiles(OneLightning, pl.Callback):
    """Writes `history.csv` and `history.png` into the run folder after every epoch.

    The picture at most every ten seconds, and at the end: drawing it takes longer than many an epoch. For a module with
    a `history`, as every LightModel has; files that cannot be written are warned of once.
    """

    def __init__(self) -> None:
        self._drawn_at = -REDRAW_S

    # The model's own hooks may log after all callbacks have seen the epoch's end, so its row is written when the next
    # one begins.
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epochs so far."""
        self._write(trainer, pl_module, draw=time.monotonic() - self._drawn_at >= REDRAW_S)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write all epochs."""
        self._write(trainer, pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Write the epochs that were finished."""
        self._write(trainer, pl_module)

    def _write(self, trainer: pl.Trainer, pl_module: Any, *, draw: bool = True) -> None:
        if not trainer.is_global_zero:
            return
        try:
            self._write_files(trainer, getattr(pl_module, "history", None), draw=draw)
        except Exception as error:  # what watches a run must not end it; the next epoch may succeed
            warn_once(trainer, type(self).__name__, f"could not write the history: {describe_error(error)}")

    def _write_files(self, trainer: pl.Trainer, history: Any, *, draw: bool) -> None:
        if not isinstance(history, pd.DataFrame):
            raise ValueError("expected a module with a `history`, a DataFrame, as a LightModel has")
        if history.empty:
            return
        with importing_extra("HistoryFiles"):
            from ..pictures.plots import run_folder, write_csv, write_png

        folder = run_folder(trainer)
        folder.mkdir(parents=True, exist_ok=True)
        write_csv(history, folder / "history.csv")
        if not draw:
            return
        self._drawn_at = time.monotonic()
        write_png(plot_history(history).pixels(), folder / "history.png")
