"""The history on disk: a table and a plot that grow with the run."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from lightfit.extras import importing_extra
from lightfit.lightning import OneLightning, pl

from ..pictures.guard import describe_error, warn_once
from .run_folder import make_run_folder, write_csv

if TYPE_CHECKING:
    from ..pictures.plots import Plot  # with matplotlib, which is imported when a curve is drawn

REDRAW_S = 10.0
KEY = "history_files"  # in the checkpoint, of modules without a history
PANELS_IN_ROW = 4
PREFIXES = {"train_": "train", "train/": "train", "val_": "validation", "val/": "validation"}
STYLES = {"train": "o--", "validation": "o-"}


def plot_metric(history: pd.DataFrame, metric: str) -> "Plot":
    """Plot a metric in training, and in validation where the history has it, over the epochs.

    Args:
        history: `LightModel.history`, or a DataFrame read from a history.csv.
        metric: name of the metric as logged in training, such as "loss", without `train_` or `train/`.

    Raises:
        KeyError: the history has neither the metric nor its validation.
    """
    curves = _group_curves(history).get(metric)
    if not curves:
        raise KeyError(f"the history has no metric '{metric}'; it has: {', '.join(map(str, history.columns))}")
    with importing_extra("the plot of a history"):
        from ..pictures.plots import Plot

    figure = Plot(figsize=(6.4, 4.0), layout="constrained")
    _draw(figure.subplots(), history, metric, curves)
    return figure


def plot_history(history: pd.DataFrame) -> "Plot":
    """Plot all metrics, one panel each, over the epochs."""
    with importing_extra("the plot of a history"):
        from ..pictures.plots import Plot

    groups = _group_curves(history)
    columns = max(min(len(groups), PANELS_IN_ROW), 1)
    rows = max(-(-len(groups) // columns), 1)
    figure = Plot(figsize=(5.2 * columns, 4.0 * rows), layout="constrained")
    for place, (metric, curves) in enumerate(groups.items(), 1):
        _draw(figure.add_subplot(rows, columns, place), history, metric, curves)
    return figure


def _group_curves(history: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Group the columns by metric: of each, the columns with whether they are of train or validation."""
    groups: dict[str, dict[str, str]] = {}
    for column in map(str, history.columns):
        prefix = next((prefix for prefix in PREFIXES if column.startswith(prefix)), "")
        if column != "epoch":
            groups.setdefault(column.removeprefix(prefix), {})[column] = PREFIXES.get(prefix, "train")
    # Training first, as its curve is the lower one and its name the metric's.
    return {metric: dict(sorted(curves.items(), key=lambda item: item[1])) for metric, curves in groups.items()}


def _draw(axes: Any, history: pd.DataFrame, metric: str, curves: Mapping[str, str]) -> None:
    labels = curves if len(set(curves.values())) == len(curves) else {name: name for name in curves}
    for name, stage in curves.items():
        points = history[["epoch", name]].dropna()
        axes.plot(points["epoch"], points[name], STYLES[stage], label=labels[name], markersize=4)
    axes.set_xlabel("epoch")
    axes.set_ylabel(metric)
    axes.set_title(metric)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend()


class HistoryFiles(OneLightning, pl.Callback):
    """Writes `history.csv` and `history.png` into the run folder after every epoch.

    The picture at most every ten seconds, and at the end: drawing it takes longer than many an epoch. For any module:
    of one with a `history`, as every LightModel has, that; of another one what it logs with `self.log` in each epoch,
    which checkpoints hold, so that a resumed run appends. The run folder is that of a TensorBoardLogger or CSVLogger,
    else the one beside the checkpoints. Files that cannot be written are warned of once.
    """

    def __init__(self) -> None:
        self._drawn_at = -REDRAW_S
        self._rows: list[dict[str, float]] = []
        self._row_is_open = False  # whether the module's hooks may still log metrics for the last row
        self._so_far: dict[str, float] = {}  # of an epoch within which a checkpoint was saved
        self._logged_before: dict[str, Any] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the rows of another run."""
        if not trainer.ckpt_path:
            self._rows, self._so_far = [], {}
        self._row_is_open, self._logged_before = False, {}

    # The model's own hooks may log after all callbacks have seen the epoch's end, so its row is written when the next
    # one begins.
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epochs so far."""
        self._close_row(trainer)
        self._write(trainer, pl_module, draw=time.monotonic() - self._drawn_at >= REDRAW_S)
        self._logged_before = dict(trainer.callback_metrics)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the epoch's row."""
        self._rows.append({"epoch": trainer.current_epoch})
        self._row_is_open = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write all epochs."""
        self._close_row(trainer)
        self._write(trainer, pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Write the epochs that were finished."""
        self._close_row(trainer)
        self._write(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the rows of a module that has no history."""
        if isinstance(getattr(pl_module, "history", None), pd.DataFrame):
            return
        logged = self._read_logged(trainer)
        rows = [dict(row) for row in self._rows]
        if self._row_is_open:
            rows[-1] |= logged
        checkpoint[KEY] = {"rows": rows, "so_far": {} if self._row_is_open else logged}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Load them."""
        saved = checkpoint.get(KEY, {})
        self._rows, self._so_far = list(saved.get("rows", [])), dict(saved.get("so_far", {}))

    def _read_logged(self, trainer: pl.Trainer) -> dict[str, float]:
        """Return what was logged in this epoch: each value is a new tensor, what was not logged again the old one."""
        metrics = trainer.callback_metrics
        new = {name: value for name, value in metrics.items() if self._logged_before.get(name) is not value}
        return self._so_far | {name: float(value) for name, value in new.items()}

    def _close_row(self, trainer: pl.Trainer) -> None:
        if self._row_is_open:
            self._rows[-1] |= self._read_logged(trainer)
            self._row_is_open, self._so_far = False, {}

    def _write(self, trainer: pl.Trainer, pl_module: Any, *, draw: bool = True) -> None:
        if not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        try:
            history = getattr(pl_module, "history", None)
            self._write_files(trainer, history if isinstance(history, pd.DataFrame) else self._tabulate(), draw=draw)
        except Exception as error:  # what watches a run must not end it; the next epoch may succeed
            warn_once(trainer, type(self).__name__, f"could not write the history: {describe_error(error)}")

    def _tabulate(self) -> pd.DataFrame:
        if self._rows and not any(len(row) > 1 for row in self._rows):
            raise ValueError("the module logs no metrics: expected `self.log(name, value)` in its steps")
        return pd.DataFrame(self._rows)

    def _write_files(self, trainer: pl.Trainer, history: pd.DataFrame, *, draw: bool) -> None:
        if history.empty:
            return
        folder = make_run_folder(trainer)
        write_csv(history, folder / "history.csv")
        if not draw:
            return
        with importing_extra("`history.png`, unlike `history.csv`,"):
            from ..pictures.plots import write_png

        self._drawn_at = time.monotonic()
        write_png(plot_history(history).pixels(), folder / "history.png")
