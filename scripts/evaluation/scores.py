"""Scores, tables and plots of a model on a split, from its predictions for each sample."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from lightfit.callbacks.logs.sample_outputs import SampleOutputs
from lightfit.callbacks.pictures.confusion import find_confused_pairs, plot_confusion_matrix, plot_reliability
from lightfit.callbacks.pictures.most_wrong import ROWS, find_wrong, tabulate_wrong
from lightfit.callbacks.pictures.names import shorten
from lightfit.callbacks.pictures.plots import Plot
from lightfit.callbacks.pictures.targets import plot_precision_recall, plot_predicted_against_true
from lightfit.datamodules import Codec, DataModule, LabelCodec, LabelSets, Numbers
from lightfit.datamodules.base import pass_batch
from lightfit.datamodules.sampler import BatchSampler
from lightfit.datamodules.samples import Batches
from lightfit.datamodules.series.places import WindowPlaces
from lightfit.lightning import OneLightning, pl
from lightfit.lightning_modules import LightModel
from lightfit.lightning_modules.metrics import (
    bootstrap_difference,
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
from .forecasts import score_forecasts
from .result import CANDIDATES, Baseline, Evaluation
from .worst import find_worst_numbers, find_worst_sets


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


NAME_WIDTH = 40  # of a class in the name of a baseline
CANDIDATES_SHOWN = 4
MATRIX_UP_TO = 11  # classes: with more the matrix does not fit into a terminal, and the most confused pairs are listed
TRUE = "true \\ predicted"  # heading of the column of true classes: a name that no class is likely to have


class ChosenBatches:
    """Some of the samples of a split.

    Args:
        batches: the samples of the split.
        rows: indices of those to take.
    """

    def __init__(self, batches: Batches, rows: NDArray[np.int64]) -> None:
        self.batches = batches
        self.rows = torch.from_numpy(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch of the chosen samples."""
        return self.batches[self.rows[index]]


class SplitData(OneLightning, pl.LightningDataModule):
    """A split of a DataModule as the test data of a Trainer.

    Args:
        data: a LightningDataModule, set up.
        split: `train`, `val`, `test`, or `all` of a DataModule without splits.
        rows: indices of the samples to take; None: all of them.
    """

    def __init__(self, data: pl.LightningDataModule, split: str, *, rows: NDArray[np.int64] | None = None) -> None:
        super().__init__()
        self.data = data
        self.split = split
        self.rows = rows
        self.codec: Codec | None = getattr(
            data, "codec", None
        )  # by which callbacks find class names and undo the scaling

    def test_dataloader(self) -> Any:
        """Return the batches of the split, for the devices of the trainer."""
        self.data.trainer = self.trainer
        if isinstance(self.data, DataModule) and self.rows is not None:
            return self._load_rows(self.data, self.rows)
        if isinstance(self.data, DataModule):
            return self.data.dataloader(self.split, shuffle=False)
        return getattr(self.data, f"{self.split}_dataloader")()

    def _load_rows(self, data: DataModule, rows: NDArray[np.int64]) -> DataLoader:
        batches, trainer = ChosenBatches(data.loaded.batches[self.split], rows), self.trainer
        sampler = BatchSampler(
            len(rows),
            batch_size=data.choose_batch_size(self.split),
            shuffle=False,
            seed=data.seed,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
        return DataLoader(batches, sampler=sampler, batch_size=None, collate_fn=pass_batch)  # type: ignore[arg-type]

    def windows(self, split: str) -> WindowPlaces | None:
        """Return where the windows of a split of series lie; None of other data, or of a split of another name."""
        windows = getattr(self.data, "windows", None)
        if not callable(windows):
            return None
        places: WindowPlaces = windows(self.split)
        return places if self.rows is None else places.take(self.rows)

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
    trainer: pl.Trainer,
    model: LightModel,
    data: pl.LightningDataModule,
    split: str,
    *,
    rows: NDArray[np.int64] | None = None,
    baselines: Mapping[str, NDArray[np.float64]] = {},
) -> Evaluation | None:
    """Evaluate a model on a split, with each sample once; return None on ranks above 0.

    Args:
        trainer: a trainer with a `SampleOutputs` callback.
        model: the model.
        data: the data, set up.
        split: name of the split.
        rows: indices of the samples to evaluate on; None: all of them.
        baselines: further forecasts of these samples, as of `score_forecasts`.
    """
    former, chosen = data.trainer, SplitData(data, split, rows=rows)
    try:
        logged = trainer.test(model, datamodule=chosen, verbose=False)
    finally:
        data.trainer = former
    (kept,) = (callback for callback in trainer.callbacks if isinstance(callback, SampleOutputs))  # type: ignore[attr-defined]
    if not trainer.is_global_zero:
        return None
    metrics = {name.removeprefix("test_"): float(value) for scores in logged for name, value in scores.items()}
    outputs = kept.outputs
    codec: Any = getattr(data, "codec", None)
    batches = data.loaded.batches[split] if isinstance(data, DataModule) else None
    if batches is not None and rows is not None:
        batches = ChosenBatches(batches, rows)
    num_samples = len(batches) if batches is not None else len(next(iter(outputs.values()), ()))
    evaluation = Evaluation(num_samples, metrics, "", (np.nan, np.nan), {}, {}, tuple(metrics), outputs)
    places = chosen.windows(split)
    if "forecast" in outputs and codec is not None and codec.domain == "series" and places is not None:
        scored = _score_series(evaluation, model, codec, places, baselines, split)
        return add_candidates(scored, model.net)
    files = data.find_places(split) if isinstance(data, DataModule) else []
    if "prediction" in outputs and isinstance(codec, LabelCodec) and isinstance(codec.target, LabelSets):
        return _score_label_sets(evaluation, outputs, codec.target, files)
    if "prediction" in outputs and isinstance(codec, LabelCodec) and isinstance(codec.target, Numbers):
        return _score_numbers(evaluation, outputs, codec.target, files)
    if {"preds", "target"} <= set(outputs) and isinstance(codec, LabelCodec):
        return _score_classes(evaluation, outputs, codec.class_names, files)
    return evaluation


def add_candidates(evaluation: Evaluation, net: Any) -> Evaluation:
    """Add the table of the forecasters that a net combines, with their errors and weights, if it has one."""
    if not hasattr(net, "candidates_table"):
        return evaluation
    table = net.candidates_table()
    most = table[table["weight"] > 0].sort_values("weight", ascending=False).head(CANDIDATES_SHOWN)
    shown = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(most["candidate"], most["weight"], strict=True))
    return evaluation._replace(
        tables=evaluation.tables | {CANDIDATES: table},
        remarks=(*evaluation.remarks, f"forecasters by weight, chosen by rolling origins: {shown}"),
    )


def evaluate_refitted(
    model: LightModel,
    data: DataModule,
    split: str,
    outputs: dict[str, Tensor],
    *,
    rows: NDArray[np.int64],
    baselines: Mapping[str, NDArray[np.float64]],
) -> Evaluation:
    """Score forecasts of a net that was fitted anew before each origin; arguments as of `evaluate_split`.

    Args:
        model: the model.
        data: the data, set up.
        split: name of the split.
        outputs: what `refit_forecasts` returned.
        rows: indices of the windows.
        baselines: further forecasts of these windows.
    """
    codec: Any = data.codec
    places = SplitData(data, split, rows=rows).windows(split)
    assert places is not None
    evaluation = Evaluation(len(rows), {}, "", (np.nan, np.nan), {}, {}, (), outputs)
    return _score_series(evaluation, model, codec, places, baselines, split)


def _score_series(
    evaluation: Evaluation,
    model: LightModel,
    codec: Any,
    places: Any,
    baselines: Mapping[str, NDArray[np.float64]],
    split: str,
) -> Evaluation:
    return score_forecasts(
        evaluation,
        evaluation.outputs,
        places,
        target_names=codec.target_names,
        quantiles=getattr(model, "quantiles", ()),
        baselines=baselines,
        split=split,
    )


def _score_classes(
    evaluation: Evaluation, outputs: dict[str, Tensor], names: list[str], places: list[str]
) -> Evaluation:
    probabilities, labels = outputs["preds"].double().numpy(), outputs["target"].numpy()
    right = (probabilities.argmax(1) == labels).astype(float)
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (labels, probabilities.argmax(1)), 1)
    calibration = calibration_table(probabilities, labels)
    wrong = find_wrong(outputs["preds"], outputs["target"])
    pairs = {"most confused": find_confused_pairs(counts, names)} if len(names) > MATRIX_UP_TO else {}
    most = int(counts.sum(1).argmax())
    constant = (labels == most).astype(float)
    baseline = Baseline(
        f"always answering the most frequent class ('{shorten(names[most], NAME_WIDTH)}')",
        float(constant.mean()),
        lambda: bootstrap_difference(right, constant),
    )
    return evaluation._replace(
        metrics={"accuracy": float(right.mean())} | evaluation.metrics | classification_scores(probabilities, labels),
        headline="accuracy",
        interval=bootstrap_interval(right),
        baselines=(baseline,),
        tables={
            "classes": class_table(probabilities, labels, names),
            **pairs,
            "confusion matrix": pd.DataFrame(counts, index=names, columns=names).rename_axis(TRUE).reset_index(),
            "calibration": calibration,
        },
        plots={
            "confusion matrix": lambda: plot_confusion_matrix(torch.from_numpy(counts), names),
            "calibration": lambda: plot_reliability(calibration),
        },
        wrong=tabulate_wrong(wrong, names, places),
        wrong_rows=tuple(wrong.row[:ROWS].tolist()),
    )


def _score_label_sets(
    evaluation: Evaluation, outputs: dict[str, Tensor], target: LabelSets, places: list[str]
) -> Evaluation:
    prediction, y = outputs["prediction"], outputs["y"].round().long().numpy()
    # Compared in float32, as predictions are: a probability may be a threshold to the last digit.
    chosen = (prediction[..., 0] >= prediction[..., 1]).numpy()
    probabilities, thresholds = prediction[..., 0].numpy(), prediction[0, :, 1].numpy()
    table = label_table(probabilities, thresholds, y, target.names)
    hits, sizes = (chosen & (y > 0)).sum(1), chosen.sum(1) + y.sum(1)
    wrong, rows = find_worst_sets(chosen, y > 0, probabilities, target.names, places)
    return evaluation._replace(
        metrics=evaluation.metrics | label_set_scores(probabilities, thresholds, y),
        headline="f1_micro",
        interval=bootstrap_interval(2.0 * hits, weights=sizes.astype(float)),
        baselines=(_find_constant_set(2.0 * hits, sizes.astype(float), y > 0, target.names),),
        tables={"labels": table},
        plots={"precision and recall": lambda: _plot_labels(table, probabilities, y)},
        wrong=wrong,
        wrong_rows=rows,
    )


def _find_constant_set(
    hits: NDArray[np.float64], sizes: NDArray[np.float64], present: NDArray[np.bool_], names: list[str]
) -> Baseline:
    """Return the best F1 that one set of labels for all samples has; arguments of the model's own F1 by sample."""
    support = present.sum(0)
    order = np.argsort(-support, kind="stable")
    num_chosen = np.arange(1, len(names) + 1)
    scores = 2 * np.cumsum(support[order]) / np.maximum(len(present) * num_chosen + support.sum(), 1)
    best = int(scores.argmax()) + 1
    constant = 2.0 * present[:, order[:best]].sum(1)
    shown = [f"'{shorten(names[index], NAME_WIDTH)}'" for index in order[:best].tolist()]
    named = ", ".join(shown[:3]) + (", ..." if best > 3 else "")
    return Baseline(
        f"always answering the same {best} most frequent labels ({named})" if best > 1 else f"always answering {named}",
        float(scores[best - 1]),
        lambda: bootstrap_difference(hits, constant, weights=sizes, other_weights=best + present.sum(1).astype(float)),
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


def _score_numbers(
    evaluation: Evaluation, outputs: dict[str, Tensor], target: Numbers, places: list[str]
) -> Evaluation:
    predictions = target.unscale(outputs["prediction"].transpose(1, 2)).transpose(1, 2).numpy()  # (N, K, 3)
    y = target.unscale(outputs["y"]).numpy()
    table = number_table(predictions, y, target.names)
    errors = np.abs(predictions[..., 0] - y).mean(1)
    constant = np.abs(y - np.median(y, 0)).mean(1)
    wrong, rows = find_worst_numbers(predictions, y, np.array(target.std), target.names, places)
    return evaluation._replace(
        metrics=evaluation.metrics | number_scores(table),
        headline="mae",
        interval=bootstrap_interval(errors),
        baselines=(
            Baseline(
                "always answering the median", float(constant.mean()), lambda: bootstrap_difference(errors, constant)
            ),
        ),
        units=f"in the units of '{target.names[0]}'" if len(target.names) == 1 else "",
        wrong=wrong,
        wrong_rows=rows,
        tables={"numbers": table},
        plots={
            "predicted and true": lambda: plot_predicted_against_true(
                target.names, y, predictions[..., 0], table["width"].to_numpy() / 2
            )
        },
    )
