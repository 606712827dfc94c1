"""Scores, tables and plots of a model on a split, from its predictions for each sample."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightfit.callbacks.logs.sample_outputs import SampleOutputs
from lightfit.callbacks.pictures.backtest import ALL, ErrorTable, plot_backtest
from lightfit.callbacks.pictures.confusion import find_confused_pairs, plot_confusion_matrix, plot_reliability
from lightfit.callbacks.pictures.forecast_plot import Window, get_forecast, get_point, plot_forecasts
from lightfit.callbacks.pictures.most_wrong import Wrong, describe_wrong, find_wrong, name_place, tabulate_wrong
from lightfit.callbacks.pictures.plots import Plot, image_grid
from lightfit.callbacks.pictures.protocols import Denormalises, as_colours
from lightfit.callbacks.pictures.targets import plot_precision_recall, plot_predicted_against_true
from lightfit.datamodules import Codec, DataModule, LabelCodec, LabelSets, Numbers
from lightfit.datamodules.samples import Batches
from lightfit.lightning import OneLightning, pl
from lightfit.lightning_modules import LightModel
from lightfit.lightning_modules.metrics import (
    bootstrap_interval,
    calibration_table,
    class_table,
    classification_scores,
    label_set_scores,
    label_table,
    number_scores,
    number_table,
)

from ..cli.devices import parse_gpus

if TYPE_CHECKING:
    from lightfit.datamodules import SeriesCodec


def quiet_trainer(gpus: str, *, callbacks: list[pl.Callback], **arguments: Any) -> pl.Trainer:
    """Return a pl.Trainer without logger, checkpoints and summary, with a progress bar only in a terminal.

    Args:
        gpus: as in `parse_gpus`.
        callbacks: callbacks of the Trainer.
        arguments: other arguments of the Trainer.
    """
    accelerator, devices = parse_gpus(gpus, torch.cuda.device_count())
    placed: dict[str, Any] = {"accelerator": accelerator, "devices": devices} | arguments
    return pl.Trainer(
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        use_distributed_sampler=False,  # our sampler repeats no sample
        **placed,
    )


PLOTTED_TARGETS = 3
PLOTTED_IMAGES = 16
MATRIX_UP_TO = 11  # classes: with more the matrix does not fit into a terminal, and the most confused pairs are listed
TRUE = "true \\ predicted"  # heading of the column of true classes: a name that no class is likely to have


class Evaluation(NamedTuple):
    """Scores of a split, with tables and plots by title."""

    num_samples: int
    metrics: dict[str, float]
    headline: str  # name of the metric with an interval; empty if there is none
    interval: tuple[float, float]
    tables: dict[str, pd.DataFrame]
    plots: dict[str, Callable[[], Plot]]  # drawn on demand, as drawing takes longer than all the rest
    logged: tuple[str, ...]  # names of the metrics that the model logs
    outputs: dict[str, Tensor]  # predictions for each sample, in order
    wrong: pd.DataFrame | None = None  # of a classifier: the samples that it got wrong, as of `tabulate_wrong`

    def format_headline(self) -> str:
        """Return the headline metric with its interval."""
        low, high = self.interval
        interval = "too few samples for an interval" if np.isnan(low) else f"95 % interval {low:.4f} to {high:.4f}"
        return f"{self.headline} {self.metrics[self.headline]:.4f} ({interval})"


class SplitData(OneLightning, pl.LightningDataModule):
    """A split of a DataModule as the test data of a Trainer.

    Args:
        data: a LightningDataModule, set up.
        split: `train`, `val`, `test`, or `all` of a DataModule without splits.
    """

    def __init__(self, data: pl.LightningDataModule, split: str) -> None:
        super().__init__()
        self.data = data
        self.split = split
        self.codec: Codec | None = getattr(
            data, "codec", None
        )  # by which callbacks find class names and undo the scaling

    def test_dataloader(self) -> Any:
        """Return the batches of the split, for the devices of the trainer."""
        self.data.trainer = self.trainer
        if isinstance(self.data, DataModule):
            return self.data.dataloader(self.split, shuffle=False)
        return getattr(self.data, f"{self.split}_dataloader")()

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Call the hook of the data."""
        return self.data.on_before_batch_transfer(batch, dataloader_idx)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Call the hook of the data."""
        return self.data.transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Call the hook of the data."""
        return self.data.on_after_batch_transfer(batch, dataloader_idx)


def evaluate_split(
    trainer: pl.Trainer, model: LightModel, data: pl.LightningDataModule, split: str
) -> Evaluation | None:
    """Evaluate a model on a split, with each sample once; return None on ranks above 0.

    Args:
        trainer: a trainer with a `SampleOutputs` callback.
        model: the model.
        data: the data, set up.
        split: name of the split.
    """
    former = data.trainer
    try:
        logged = trainer.test(model, datamodule=SplitData(data, split), verbose=False)
    finally:
        data.trainer = former
    (kept,) = (callback for callback in trainer.callbacks if isinstance(callback, SampleOutputs))  # type: ignore[attr-defined]
    if not trainer.is_global_zero:
        return None
    metrics = {name.removeprefix("test_"): float(value) for scores in logged for name, value in scores.items()}
    outputs, codec = kept.outputs, getattr(data, "codec", None)
    batches = data.loaded.batches[split] if isinstance(data, DataModule) else None
    num_samples = len(batches) if batches is not None else len(next(iter(outputs.values()), ()))
    evaluation = Evaluation(num_samples, metrics, "", (np.nan, np.nan), {}, {}, tuple(metrics), outputs)
    if "forecast" in outputs and codec is not None and codec.domain == "series" and batches is not None:
        return _score_forecasts(evaluation, outputs, codec, batches)
    if "prediction" in outputs and isinstance(codec, LabelCodec) and isinstance(codec.target, LabelSets):
        return _score_label_sets(evaluation, outputs, codec.target)
    if "prediction" in outputs and isinstance(codec, LabelCodec) and isinstance(codec.target, Numbers):
        return _score_numbers(evaluation, outputs, codec.target)
    if {"preds", "target"} <= set(outputs) and isinstance(codec, LabelCodec):
        places = data.find_places(split) if isinstance(data, DataModule) else []
        return _score_classes(evaluation, outputs, codec, batches, places)
    return evaluation


def _score_classes(
    evaluation: Evaluation, outputs: dict[str, Tensor], codec: LabelCodec, batches: Batches | None, places: list[str]
) -> Evaluation:
    names = codec.class_names
    probabilities, labels = outputs["preds"].double().numpy(), outputs["target"].numpy()
    right = (probabilities.argmax(1) == labels).astype(float)
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (labels, probabilities.argmax(1)), 1)
    calibration = calibration_table(probabilities, labels)
    wrong = find_wrong(outputs["preds"], outputs["target"])
    pairs = {"most confused": find_confused_pairs(counts, names)} if len(names) > MATRIX_UP_TO else {}
    pictures: dict[str, Callable[[], Plot]] = {}
    if isinstance(codec, Denormalises) and batches is not None and len(wrong.row):
        pictures["most wrong"] = lambda: _plot_wrong(wrong, codec, batches, places)
    return evaluation._replace(
        metrics={"accuracy": float(right.mean())} | evaluation.metrics | classification_scores(probabilities, labels),
        headline="accuracy",
        interval=bootstrap_interval(right),
        tables={
            "classes": class_table(probabilities, labels, names),
            **pairs,
            "confusion matrix": pd.DataFrame(counts, index=names, columns=names).rename_axis(TRUE).reset_index(),
            "calibration": calibration,
        },
        plots={
            "confusion matrix": lambda: plot_confusion_matrix(torch.from_numpy(counts), names),
            "calibration": lambda: plot_reliability(calibration),
            **pictures,
        },
        wrong=tabulate_wrong(wrong, names, places),
    )


def _plot_wrong(wrong: Wrong, codec: Any, batches: Batches, places: list[str]) -> Plot:
    first = wrong.take(slice(PLOTTED_IMAGES))
    x, _ = batches[first.row]
    named = [(codec.class_names[true], codec.class_names[label]) for _, true, label, *_ in zip(*first, strict=True)]
    titles = [describe_wrong(*own, sure) for own, sure in zip(named, first.probability.tolist(), strict=True)]
    captions = [name_place(row, places) for row in first.row.tolist()] if places else None
    return image_grid(as_colours(codec, x), titles, captions=captions)


def _score_label_sets(evaluation: Evaluation, outputs: dict[str, Tensor], target: LabelSets) -> Evaluation:
    prediction, y = outputs["prediction"], outputs["y"].round().long().numpy()
    # Compared in float32, as predictions are: a probability may be a threshold to the last digit.
    chosen = (prediction[..., 0] >= prediction[..., 1]).numpy()
    probabilities, thresholds = prediction[..., 0].numpy(), prediction[0, :, 1].numpy()
    table = label_table(probabilities, thresholds, y, target.names)
    hits, sizes = (chosen & (y > 0)).sum(1), chosen.sum(1) + y.sum(1)
    return evaluation._replace(
        metrics=evaluation.metrics | label_set_scores(probabilities, thresholds, y),
        headline="f1_micro",
        interval=bootstrap_interval(2.0 * hits, weights=sizes.astype(float)),
        tables={"labels": table},
        plots={"precision and recall": lambda: _plot_labels(table, probabilities, y)},
    )


def _plot_labels(table: pd.DataFrame, probabilities: NDArray[Any], y: NDArray[np.int64]) -> Plot:
    from sklearn.metrics import precision_recall_curve  # here, as it takes a second

    order = [index for index in table["support"].argsort()[::-1] if table["support"][index] > 0]
    curves, points = {}, {}
    for index in order:
        precision, recall, _ = precision_recall_curve(y[:, index], probabilities[:, index])
        curves[table["label"][index]] = recall, precision
        points[table["label"][index]] = table["recall"][index], table["precision"][index]
    return plot_precision_recall(curves, points)


def _score_numbers(evaluation: Evaluation, outputs: dict[str, Tensor], target: Numbers) -> Evaluation:
    predictions = target.unscale(outputs["prediction"].transpose(1, 2)).transpose(1, 2).numpy()  # (N, K, 3)
    y = target.unscale(outputs["y"]).numpy()
    table = number_table(predictions, y, target.names)
    errors = np.abs(predictions[..., 0] - y).mean(1)
    return evaluation._replace(
        metrics=evaluation.metrics | number_scores(table),
        headline="mae",
        interval=bootstrap_interval(errors),
        tables={"numbers": table},
        plots={
            "predicted and true": lambda: plot_predicted_against_true(
                target.names, y, predictions[..., 0], table["width"].to_numpy() / 2
            )
        },
    )


def _score_forecasts(
    evaluation: Evaluation, outputs: dict[str, Tensor], codec: "SeriesCodec", batches: Batches
) -> Evaluation:
    forecast, y = get_forecast(outputs).float(), outputs["y"].float()
    errors = (get_point(forecast) - y).abs().double().nanmean((1, 2))
    table = ErrorTable()
    table.add(codec.unscale(get_point(forecast)), codec.unscale(y))
    backtest = table.table(codec.target_names)
    known = errors[~errors.isnan()].numpy()
    return evaluation._replace(
        metrics=evaluation.metrics | {"mae": float(known.mean())},  # in float64
        headline="mae",
        # Neighbouring windows share values to forecast, so the bootstrap draws blocks of them.
        interval=bootstrap_interval(known, block=max(codec.horizon, codec.season)),
        tables=_split_backtest(backtest),
        plots={
            "errors by step": lambda: plot_backtest(backtest),
            "forecasts": lambda: _plot_windows(errors, forecast, y, codec, batches),
        },
    )


def _split_backtest(backtest: pd.DataFrame) -> dict[str, pd.DataFrame]:
    over_steps, over_targets = backtest["step"] == ALL, backtest["target"] == ALL
    tables = {"by target": backtest[over_steps], "by step": backtest[~over_steps & over_targets]}
    if backtest["target"].nunique() > 2:  # with one target, the table would be repeated
        tables["by step and target"] = backtest[~over_steps & ~over_targets]
    return tables


def _plot_windows(errors: Tensor, forecast: Tensor, y: Tensor, codec: "SeriesCodec", batches: Batches) -> Plot:
    order = errors.argsort()
    shown = {"worst": order[-1], "median": order[len(order) // 2], "best": order[0]}
    names = codec.target_names[:PLOTTED_TARGETS]
    windows = {}
    for title, index in shown.items():
        past = codec.unscale(batches[index[None]][0][0, :, : codec.num_targets])
        unscaled = codec.unscale(forecast[index].transpose(1, 2)).transpose(1, 2)
        windows[title] = Window(float(errors[index]), past, codec.unscale(y[index]), unscaled)
    return plot_forecasts(windows, names)
