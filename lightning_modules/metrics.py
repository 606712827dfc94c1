"""Scores of classifiers, of label sets, numbers and forecasts, and how sure a mean over samples is."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightfit.extras import importing_extra

from .losses import is_soft


def accuracy(logits: Tensor, y: Tensor) -> Tensor:
    """Compute the fraction of samples whose most probable class is the label, or the largest of soft labels, ()."""
    y = y.argmax(1) if is_soft(y) else y
    preds = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
    return (preds == y.reshape(-1)).float().mean()


def probabilities(logits: Tensor) -> Tensor:
    """Compute probabilities (B, num_classes) float32; two columns from one logit."""
    logits = logits.float()
    if logits.shape[1] == 1:
        positive = logits.sigmoid()
        return torch.cat([1 - positive, positive], 1)
    return logits.softmax(1)


TINY = 1.17e-6  # the least that a percentage is taken of, as in torchmetrics


def absolute_percentage_error(forecast: Tensor, y: Tensor) -> Tensor:
    """Compute |forecast - y| / |y|, (B, P, C); with a tiny divisor where y is 0, as in torchmetrics, which the cookbook
    takes it from."""
    return (forecast - y).abs() / y.abs().clamp(min=TINY)


NUM_BINS = 15  # of calibration: the number in Guo et al. 2017, table 1
NUM_RESAMPLES, LEVEL = 2000, 0.95
Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def classification_scores(probabilities: Floats, labels: Labels) -> dict[str, float]:
    """Compute scores over samples, each between 0 and 1 but for `log_loss`, nats, and `brier`, from 0 to 2.

    `balanced_accuracy` and `f1_macro` are means over the classes that occur, `auroc` one class against the rest, left
    out where a class does not occur; `ece` as in `calibration_table`; `top_5_accuracy` where there are more classes.

    Args:
        probabilities: (N, num_classes).
        labels: class of every sample, (N,).
    """
    with importing_extra("a table of scores"):
        from sklearn import metrics  # here, as it takes a second
    num_classes, preds = probabilities.shape[1], probabilities.argmax(1)
    one_hot = np.eye(num_classes)[labels]
    own = np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, None)
    occurring = np.unique(labels)
    recall = metrics.recall_score(labels, preds, labels=occurring, average=None, zero_division=0)
    table = calibration_table(probabilities, labels)
    scores = {
        "balanced_accuracy": float(np.mean(recall)),
        "f1_macro": float(metrics.f1_score(labels, preds, labels=occurring, average="macro", zero_division=0)),
        "log_loss": float(-np.log(own).mean()),
        "brier": float(np.square(probabilities - one_hot).sum(1).mean()),
        "ece": expected_calibration_error(table),
    }
    if len(occurring) == num_classes:
        scores["auroc"] = float(
            metrics.roc_auc_score(one_hot, probabilities, average="macro")
            if num_classes > 2
            else metrics.roc_auc_score(labels, probabilities[:, 1])
        )
    if num_classes > 5:
        top = np.argsort(-probabilities, 1)[:, :5]
        scores["top_5_accuracy"] = float((top == labels[:, None]).any(1).mean())
    return scores


def class_table(probabilities: Floats, labels: Labels, names: Sequence[str]) -> pd.DataFrame:
    """Tabulate each class: `class`, `precision`, `recall`, `f1` (NaN where there is nothing to divide by), `support`.

    Args:
        probabilities: (N, num_classes).
        labels: class of every sample, (N,).
        names: names of the classes.
    """
    with importing_extra("a table of scores"):
        from sklearn.metrics import precision_recall_fscore_support
    classes = range(len(names))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, probabilities.argmax(1), labels=classes, zero_division=np.nan
    )
    return pd.DataFrame({"class": names, "precision": precision, "recall": recall, "f1": f1, "support": support})


def calibration_table(probabilities: Floats, labels: Labels, *, num_bins: int = NUM_BINS) -> pd.DataFrame:
    """Tabulate how often the most probable class was right, by its probability: a row for each bin that is used.

    Columns: `confidence` and `accuracy`, means over the bin, and `samples`.

    Args:
        probabilities: (N, num_classes).
        labels: class of every sample, (N,).
        num_bins: number of bins of equal width between 0 and 1.
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    place = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    held = pd.DataFrame({"confidence": confidence, "accuracy": right.astype(float), "samples": 1})
    return held.groupby(place).agg({"confidence": "mean", "accuracy": "mean", "samples": "sum"}).reset_index(drop=True)


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Compute the mean difference of confidence and accuracy, weighted by samples.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.

    Args:
        table: a `calibration_table`.
    """
    gap = (table["confidence"] - table["accuracy"]).abs()
    return float((gap * table["samples"]).sum() / table["samples"].sum())


def bootstrap_interval(
    values: Floats, *, weights: Floats | None = None, block: int = 1, seed: int = 0
) -> tuple[float, float]:
    """Compute the 95 % interval of a mean over samples: percentiles over 2,000 resamples; NaN for under two blocks.

    Samples are drawn in blocks of neighbours, which keeps what overlapping windows of a series have in common. Source:
    Künsch 1989, "The Jackknife and the Bootstrap for General Stationary Observations", section 2.4; with blocks of one
    it is Efron's of 1979.

    Args:
        values: whose mean it is, (N,).
        weights: divides by their sum instead, for the ratio of two sums over samples such as F1, (N,).
        block: number of samples in a block.
        seed: seed of the draw.
    """
    return _interval(_resample(values, weights, block, seed))


def bootstrap_difference(
    values: Floats,
    others: Floats,
    *,
    weights: Floats | None = None,
    other_weights: Floats | None = None,
    block: int = 1,
    seed: int = 0,
) -> tuple[float, float]:
    """Compute the 95 % interval of the difference of two means over the same samples, the first less the second.

    Both means are of the same resamples, so what samples have in common for both, such as being hard, cancels out.

    Args:
        values: whose mean is the first, (N,).
        others: whose mean is the second, (N,).
        weights: of the first, as of `bootstrap_interval`.
        other_weights: of the second, likewise.
        block: number of samples in a block.
        seed: seed of the draw.
    """
    return _interval(_resample(values, weights, block, seed) - _resample(others, other_weights, block, seed))


def _interval(means: Floats) -> tuple[float, float]:
    if not len(means):
        return float("nan"), float("nan")
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _resample(values: Floats, weights: Floats | None, block: int, seed: int) -> Floats:
    """Return the means of resamples, which depend on the seed and the number of samples; none for under two blocks."""
    if len(values) < 2 * block:
        return np.empty(0)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    weight_sums = None if weights is None else np.concatenate([[0.0], np.cumsum(weights)])
    starts_possible, num_blocks = len(values) - block + 1, -(-len(values) // block)
    rng = np.random.default_rng(seed)
    means = np.empty(NUM_RESAMPLES)
    for resample in range(NUM_RESAMPLES):  # one at a time: all at once would take gigabytes for a large split
        starts = rng.integers(0, starts_possible, num_blocks)
        divisor = (
            num_blocks * block if weight_sums is None else (weight_sums[starts + block] - weight_sums[starts]).sum()
        )
        means[resample] = (sums[starts + block] - sums[starts]).sum() / (divisor or 1)
    return means


def label_set_scores(probabilities: Floats, thresholds: Floats, y: Labels) -> dict[str, float]:
    """Compute scores of sets of labels, each between 0 and 1.

    `f1_macro` and `mAP` (the mean of the average precision, which needs no threshold) are means over the labels that
    occur; `subset_accuracy` is the fraction of samples with exactly the right set.

    Args:
        probabilities: (N, K).
        thresholds: that a probability must reach, (K,).
        y: labels of 0 and 1, (N, K).
    """
    with importing_extra("a table of scores"):
        from sklearn.metrics import average_precision_score  # here, as it takes a second
    chosen, present = probabilities >= thresholds, y > 0
    table = label_table(probabilities, thresholds, y, [""] * y.shape[1])
    occurring = np.flatnonzero(present.any(0))
    total = chosen.sum() + present.sum()
    scores = {"f1_micro": float(2 * (chosen & present).sum() / total) if total else 0.0}
    if len(occurring):
        scores["f1_macro"] = float(table["f1"].fillna(0).to_numpy()[occurring].mean())
        precisions = [average_precision_score(present[:, label], probabilities[:, label]) for label in occurring]
        scores["mAP"] = float(np.mean(precisions))
    return scores | {"subset_accuracy": float((chosen == present).all(1).mean())}


def label_table(probabilities: Floats, thresholds: Floats, y: Labels, names: Sequence[str]) -> pd.DataFrame:
    """Tabulate each label: `label`, `threshold`, `precision`, `recall`, `f1` (NaN where it is 0 / 0), `support`.

    Args:
        probabilities: (N, K).
        thresholds: that a probability must reach, (K,).
        y: labels of 0 and 1, (N, K).
        names: names of the labels.
    """
    chosen, present = probabilities >= thresholds, y > 0
    hits, num_chosen, support = (chosen & present).sum(0), chosen.sum(0), present.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return pd.DataFrame(
            {
                "label": list(names),
                "threshold": thresholds,
                "precision": hits / num_chosen,
                "recall": hits / support,
                "f1": 2 * hits / (num_chosen + support),
                "support": support,
            }
        )


def number_table(predictions: Floats, y: Floats, names: Sequence[str]) -> pd.DataFrame:
    """Tabulate each number: `name`, `mae`, `rmse`, `r2`, `coverage` and `width` of the interval.

    `r2` is NaN where the truth does not vary, the last two where there is no interval.

    Args:
        predictions: the number and the ends of its interval, (N, K, 3), in the units of the data.
        y: the truth, (N, K), likewise.
        names: names of the numbers.
    """
    value, low, high = (predictions[..., place] for place in range(3))
    squares, variation = np.square(value - y).sum(0), np.square(y - y.mean(0)).sum(0)
    known = (low <= high).all(0)
    inside = ((low <= y) & (y <= high)).mean(0)
    return pd.DataFrame(
        {
            "name": list(names),
            "mae": np.abs(value - y).mean(0),
            "rmse": np.sqrt(squares / len(y)),
            "r2": 1 - squares / np.where(variation > 0, variation, np.nan),
            "coverage": np.where(known, inside, np.nan),
            "width": np.where(known, (high - low).mean(0), np.nan),
        }
    )


def number_scores(table: pd.DataFrame) -> dict[str, float]:
    """Average the columns of a `number_table` over the numbers; left out where they are not defined for all."""
    means = table[["mae", "rmse", "r2", "coverage", "width"]].mean(skipna=False)
    return {str(name): float(value) for name, value in means.items() if not np.isnan(value)}


NEAR_ZERO = 0.01  # of the mean absolute truth: below it, a percentage of a single value says nothing


class ForecastScores:
    """Sums of the errors of forecasts, by step and target, and by series and target.

    Scores are `mae`, `rmse` and `bias` (mean of forecast less truth), in the units of the data; `mase` and `rmsse`,
    errors divided by those of the seasonal naive forecast in training (Hyndman and Koehler 2006, section 3; RMSSE is
    the root of the mean of the squared ones, Makridakis et al. 2022, section 3.2); `wape`, the sum of the errors
    divided by the sum of the absolute truth; `smape`, 2 |e| / (|y| + |f|), from 0 to 2; `pinball`, the mean of the
    quantile losses; `coverage` and `width` of the outermost quantiles. Unknown values, NaN, are skipped. A score that
    is not defined is NaN.

    Args:
        num_steps: number of steps to forecast, P.
        num_series: number of series, S.
        num_targets: number of targets, C.
        quantiles: levels of the quantiles, rising; the middle one is the forecast. Empty: forecasts have no quantiles.
    """

    TERMS = (
        *("absolute", "square", "error", "truth", "smape", "pinball", "inside", "width"),
        *("mase", "mase_count", "rmsse", "rmsse_count", "count"),
    )
    NAMES = ("mae", "rmse", "bias", "mase", "rmsse", "wape", "smape", "pinball", "coverage", "width")

    def __init__(self, num_steps: int, num_series: int, num_targets: int, *, quantiles: Sequence[float] = ()) -> None:
        self.quantiles = np.array(quantiles)
        self.by_step = np.zeros((num_steps, num_targets, len(self.TERMS)))
        self.by_series = np.zeros((num_series, num_targets, len(self.TERMS)))
        self.windows = np.zeros(num_series, np.int64)
        self.smallest = np.full((num_series, num_targets), np.inf)  # least absolute truth
        self.signs = np.zeros((2, num_series, num_targets), bool)  # whether the truth has negative and positive values

    def add(
        self,
        forecast: Floats,
        y: Floats,
        *,
        series: Labels,
        naive_error: Floats | None = None,
        naive_square: Floats | None = None,
    ) -> Floats:
        """Add the forecasts of some windows, in the units of the data; return the sums of each window, (m, C, terms).

        Args:
            forecast: (m, P, C, Q), with Q of 1 without quantiles.
            y: the truth, (m, P, C); NaN if missing.
            series: index of the series of each window, (m,).
            naive_error: divisor of MASE of each window, (m, C), where it is above 0; None: there is no MASE.
            naive_square: divisor of the squared errors of RMSSE, (m, C), likewise.
        """
        point = forecast[..., forecast.shape[-1] // 2]
        known = ~np.isnan(y) & ~np.isnan(point)
        error, absolute = point - y, np.abs(point - y)
        total = np.abs(y) + np.abs(point)
        unknown = np.full(y.shape, np.nan)
        terms = {
            "absolute": absolute,
            "square": np.square(error),
            "error": error,
            "truth": np.abs(y),
            "smape": 2 * absolute / np.where(total > 0, total, 1),
            "pinball": unknown,
            "inside": unknown,
            "width": unknown,
            "count": np.ones(y.shape),
        }
        for name, values, divisor in (
            ("mase", absolute, naive_error),
            ("rmsse", np.square(error), naive_square),
        ):
            positive = np.zeros(y.shape) if divisor is None else np.broadcast_to((divisor > 0)[:, None], y.shape)
            own = 1 if divisor is None else np.where(divisor > 0, divisor, 1)[:, None]
            terms |= {name: values / own * positive, f"{name}_count": positive}
        if len(self.quantiles):
            below = y[..., None] - forecast
            terms["pinball"] = np.maximum(self.quantiles * below, (self.quantiles - 1) * below).mean(-1)
            terms["inside"] = ((forecast[..., 0] <= y) & (y <= forecast[..., -1])).astype(float)
            terms["width"] = forecast[..., -1] - forecast[..., 0]
        stacked = np.stack([np.where(known, terms[name], 0) for name in self.TERMS], -1)  # (m, P, C, terms)
        self.by_step += stacked.sum(0)
        each = stacked.sum(1)
        np.add.at(self.by_series, series, each)
        self.windows += np.bincount(series, minlength=len(self.windows))
        np.minimum.at(self.smallest, series, np.where(known, np.abs(y), np.inf).min(1, initial=np.inf))
        np.logical_or.at(self.signs[0], series, (known & (y < 0)).any(1))
        np.logical_or.at(self.signs[1], series, (known & (y > 0)).any(1))
        return each

    @property
    def is_near_zero(self) -> bool:
        """Return whether the truth of a series crosses 0, or comes so near to it that percentages say nothing."""
        truth, count = self.by_series[..., self.TERMS.index("truth")], self.by_series[..., -1]
        near = self.smallest <= np.maximum(NEAR_ZERO * truth / np.maximum(count, 1), TINY)
        return bool(((near & (count > 0)) | self.signs.all(0)).any())

    def score(self, sums: Floats) -> dict[str, Floats]:
        """Compute the scores of sums (..., terms), such as `by_step` or sums of it over an axis, each (...)."""
        own = {name: sums[..., index] for index, name in enumerate(self.TERMS)}
        with np.errstate(divide="ignore", invalid="ignore"):
            means = {name: values / own["count"] for name, values in own.items()}
            wape = np.where(own["truth"] > 0, own["absolute"] / own["truth"], np.nan)
            mase, rmsse = own["mase"] / own["mase_count"], np.sqrt(own["rmsse"] / own["rmsse_count"])
        scores = {
            "mae": means["absolute"],
            "rmse": np.sqrt(means["square"]),
            "bias": means["error"],
            "mase": mase,
            "rmsse": rmsse,
            "wape": wape,
            "smape": means["smape"],
            "pinball": means["pinball"],
            "coverage": means["inside"],
            "width": means["width"],
        }
        return {name: scores[name] for name in self.NAMES}

    def tabulate(self, sums: Floats, labels: Mapping[str, Sequence[object]]) -> pd.DataFrame:
        """Tabulate scores with a row for each of the sums (N, terms): labels, scores that are defined, and `values`.

        Args:
            sums: sums, one for each row.
            labels: columns that come first.
        """
        table = pd.DataFrame(dict(labels) | self.score(sums))
        empty = [name for name in self.NAMES if table[name].isna().all()]
        return table.drop(columns=empty).assign(values=sums[:, -1].astype(np.int64))
