"""How good a model is on a part of its data, from what it says of each sample."""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lightfit.callbacks.logs.sample_outputs import SampleOutputs
from lightfit.callbacks.pictures.backtest import ALL, ErrorTable, plot_backtest
from lightfit.callbacks.pictures.confusion import plot_confusion_matrix, plot_reliability
from lightfit.callbacks.pictures.forecast_plot import Window, get_forecast, get_point, plot_forecasts
from lightfit.callbacks.pictures.plots import Plot
from lightfit.datamodules import DataModule, LabelledDataModule
from lightfit.datamodules.base import Batches
from lightfit.datamodules.series.codec import ForecastDataModule
from lightfit.lightning import pl
from lightfit.lightning_modules import LightModel
from lightfit.lightning_modules.metrics import bootstrap_interval, calibration_table, class_table, classification_scores

from ..cli.devices import accelerator_and_devices


def quiet_trainer(gpus: str, *, callbacks: list[pl.Callback], **arguments: Any) -> pl.Trainer:
    """A pl.Trainer without logger, checkpoints and summary, and with a progress bar only in a terminal.

    Args:
        gpus: as in `accelerator_and_devices`.
        callbacks: those of its own.
        arguments: other ones of pl.Trainer.
    """
    accelerator, devices = accelerator_and_devices(gpus, torch.cuda.device_count())
    placed: dict[str, Any] = {"accelerator": accelerator, "devices": devices} | arguments
    return pl.Trainer(
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        use_distributed_sampler=False,  # the data's own sampler is exact
        **placed,
    )


PLOTTED_TARGETS = 3
TRUE = "true \\ predicted"  # over the names of the true classes: a name that no class is likely to have


class Evaluation(NamedTuple):
    """Scores of one part, with tables and plots by their titles."""

    num_samples: int
    metrics: dict[str, float]
    headline: str  # name of the metric that has an interval; empty where none has
    interval: tuple[float, float]
    tables: dict[str, pd.DataFrame]
    plots: dict[str, Callable[[], Plot]]  # drawn where they are shown, as it takes longer than all the rest
    logged: tuple[str, ...]  # names of the metrics that the model itself gives
    outputs: dict[str, Tensor]  # what was said of each sample, in order

    @property
    def in_words(self) -> str:
        """The headline metric with its interval."""
        low, high = self.interval
        interval = "too few samples for an interval" if np.isnan(low) else f"95 % interval {low:.4f} to {high:.4f}"
        return f"{self.headline} {self.metrics[self.headline]:.4f} ({interval})"


def evaluate_test(trainer: pl.Trainer, model: LightModel, data: DataModule) -> Evaluation | None:
    """The scores of the data's test part, each sample once; None on all processes but the first.

    Args:
        trainer: a trainer with a `SampleOutputs` callback.
        model: the model.
        data: the data.
    """
    (logged,) = trainer.test(model, datamodule=data, verbose=False)
    (kept,) = (callback for callback in trainer.callbacks if isinstance(callback, SampleOutputs))  # type: ignore[attr-defined]
    if not trainer.is_global_zero:
        return None
    metrics = {name.removeprefix("test_"): float(value) for name, value in logged.items()}
    assert data.test_data is not None
    outputs, num_samples = kept.outputs, len(data.test_data)
    evaluation = Evaluation(num_samples, metrics, "", (np.nan, np.nan), {}, {}, tuple(metrics), outputs)
    if "forecast" in outputs and isinstance(data, ForecastDataModule):
        return _of_forecasts(evaluation, outputs, data, data.test_data)
    if {"preds", "target"} <= set(outputs) and isinstance(data, LabelledDataModule):
        return _of_classes(evaluation, outputs, data.class_names)
    return evaluation


def _of_classes(evaluation: Evaluation, outputs: dict[str, Tensor], names: list[str]) -> Evaluation:
    probabilities, labels = outputs["preds"].double().numpy(), outputs["target"].numpy()
    right = (probabilities.argmax(1) == labels).astype(float)
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (labels, probabilities.argmax(1)), 1)
    calibration = calibration_table(probabilities, labels)
    return evaluation._replace(
        metrics={"accuracy": float(right.mean())} | evaluation.metrics | classification_scores(probabilities, labels),
        headline="accuracy",
        interval=bootstrap_interval(right),
        tables={
            "classes": class_table(probabilities, labels, names),
            "confusion matrix": pd.DataFrame(counts, index=names, columns=names).rename_axis(TRUE).reset_index(),
            "calibration": calibration,
        },
        plots={
            "confusion matrix": lambda: plot_confusion_matrix(torch.from_numpy(counts), names),
            "calibration": lambda: plot_reliability(calibration),
        },
    )


def _of_forecasts(
    evaluation: Evaluation, outputs: dict[str, Tensor], data: ForecastDataModule, part: Batches
) -> Evaluation:
    forecast, y = get_forecast(outputs).float(), outputs["y"].float()
    errors = (get_point(forecast) - y).abs().double().nanmean((1, 2))
    table = ErrorTable()
    table.add(data.unscale(get_point(forecast)), data.unscale(y))
    backtest = table.table(data.target_names)
    known = errors[~errors.isnan()].numpy()
    return evaluation._replace(
        metrics=evaluation.metrics | {"mae": float(known.mean())},  # the same to more digits
        headline="mae",
        # Windows that begin within a horizon of each other forecast the same values in part: neighbours stay together.
        interval=bootstrap_interval(known, block=max(data.horizon, data.season)),
        tables=_backtest_tables(backtest),
        plots={
            "errors by step": lambda: plot_backtest(backtest),
            "forecasts": lambda: _plot_windows(errors, forecast, y, data, part),
        },
    )


def _backtest_tables(backtest: pd.DataFrame) -> dict[str, pd.DataFrame]:
    over_steps, over_targets = backtest["step"] == ALL, backtest["target"] == ALL
    tables = {"by target": backtest[over_steps], "by step": backtest[~over_steps & over_targets]}
    if backtest["target"].nunique() > 2:  # else that is the same table again
        tables["by step and target"] = backtest[~over_steps & ~over_targets]
    return tables


def _plot_windows(errors: Tensor, forecast: Tensor, y: Tensor, data: ForecastDataModule, part: Batches) -> Plot:
    order = errors.argsort()
    shown = {"worst": order[-1], "median": order[len(order) // 2], "best": order[0]}
    names = data.target_names[:PLOTTED_TARGETS]
    windows = {}
    for title, number in shown.items():
        past = data.unscale(part[number[None]][0][0, :, : data.num_targets])
        unscaled = data.unscale(forecast[number].transpose(1, 2)).transpose(1, 2)
        windows[title] = Window(float(errors[number]), past, data.unscale(y[number]), unscaled)
    return plot_forecasts(windows, names)
