"""Metrics that accumulate over batches: those of `pytorch_lightning.metrics` in Lightning 1.1, on torchmetrics."""

from typing import Any

import torch
import torchmetrics
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from . import functional
from .counts import count_classes, divide_by_class, one_hot, to_labels


class Metric(torchmetrics.Metric):
    """torchmetrics' base class with the arguments that it had in Lightning.

    Args:
        compute_on_step: whether a call returns the value of its batch; if not, it returns None.
        **arguments: those of torchmetrics.Metric, such as `dist_sync_on_step`.
    """

    full_state_update = False

    def __init__(self, compute_on_step: bool = True, **arguments: Any) -> None:
        super().__init__(**{name: value for name, value in arguments.items() if value is not None})
        self.returns_batch_value = compute_on_step

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch; return its value."""
        if self.returns_batch_value:
            return super().forward(*args, **kwargs)
        self.update(*args, **kwargs)
        return None


class Accuracy(Metric):
    """The fraction of labels that are right: of classes, label sets or one probability.

    Args:
        threshold: the least probability of a positive.
        **arguments: those of Metric.
    """

    right: Tensor
    total: Tensor

    def __init__(self, threshold: float = 0.5, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.threshold = threshold
        self.add_state("right", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        labels, target = to_labels(preds, target, self.threshold)
        self.right += (labels == target).sum()
        self.total += target.numel()

    def compute(self) -> Tensor:
        """Return the accuracy, ()."""
        return self.right / self.total


class FBeta(Metric):
    """The F-beta score; with `num_classes` 1 that of the positive class.

    Args:
        num_classes: number of classes.
        beta: weight of the recall.
        threshold: the least probability of a positive.
        average: micro, macro, weighted or none.
        multilabel: whether the predictions are sets of labels.
        **arguments: those of Metric.
    """

    right: Tensor
    predicted: Tensor
    support: Tensor

    def __init__(
        self,
        num_classes: int,
        beta: float = 1.0,
        threshold: float = 0.5,
        average: str = "micro",
        multilabel: bool = False,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.num_classes, self.beta, self.threshold = num_classes, beta, threshold
        self.average, self.multilabel = average, multilabel
        for name in ("right", "predicted", "support"):
            self.add_state(name, torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        predicted, true = one_hot(preds, target, self.num_classes, self.threshold, self.multilabel)
        self.right += (predicted * true).sum(1)
        self.predicted += predicted.sum(1)
        self.support += true.sum(1)

    def compute(self) -> Tensor:
        """Return the score, (), or (K,) for each class."""
        weight = self.beta**2
        of = weight * self.support + self.predicted
        return divide_by_class((1 + weight) * self.right, of, self.support, self.average)


class F1(FBeta):
    """The F1 score; arguments as of FBeta."""

    def __init__(self, num_classes: int, threshold: float = 0.5, **arguments: Any) -> None:
        super().__init__(num_classes, 1.0, threshold, **arguments)


class Precision(FBeta):
    """The precision; with `num_classes` 1 that of the positive class. Arguments as of FBeta."""

    def __init__(self, num_classes: int = 1, threshold: float = 0.5, **arguments: Any) -> None:
        super().__init__(num_classes, 1.0, threshold, **arguments)

    def compute(self) -> Tensor:
        """Return the precision, (), or (K,) for each class."""
        return divide_by_class(self.right, self.predicted, self.support, self.average)


class Recall(FBeta):
    """The recall; with `num_classes` 1 that of the positive class. Arguments as of FBeta."""

    def __init__(self, num_classes: int = 1, threshold: float = 0.5, **arguments: Any) -> None:
        super().__init__(num_classes, 1.0, threshold, **arguments)

    def compute(self) -> Tensor:
        """Return the recall, (), or (K,) for each class."""
        return divide_by_class(self.right, self.support, self.support, self.average)


class ConfusionMatrix(Metric):
    """Counts of target (rows) and predicted class (columns); arguments as of `functional.confusion_matrix`."""

    counts: Tensor

    def __init__(
        self, num_classes: int, normalize: str | None = None, threshold: float = 0.5, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self.num_classes, self.normalize, self.threshold = num_classes, normalize, threshold
        self.add_state("counts", torch.zeros(num_classes, num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        self.counts += count_classes(*to_labels(preds, target, self.threshold), self.num_classes)

    def compute(self) -> Tensor:
        """Return the matrix, (K, K) float32."""
        return functional.normalize_counts(self.counts, self.normalize)


class Curve(Metric):
    """A metric of all scores at once: they are kept."""

    preds: Any
    target: Any
    of_all: Any = None  # the function

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.add_state("preds", [], dist_reduce_fx="cat")
        self.add_state("target", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        self.preds.append(preds)
        self.target.append(target)

    def compute(self) -> Any:
        """Return what the function of the same name does."""
        return type(self).of_all(dim_zero_cat(self.preds), dim_zero_cat(self.target))


class AUROC(Curve):
    """The area under the ROC curve."""

    of_all = staticmethod(functional.auroc)


class AveragePrecision(Curve):
    """The average precision."""

    of_all = staticmethod(functional.average_precision)


class PrecisionRecallCurve(Curve):
    """Precisions, recalls and thresholds."""

    of_all = staticmethod(functional.precision_recall_curve)


class ROC(Curve):
    """False positive rates, true positive rates and thresholds."""

    of_all = staticmethod(functional.roc)


class PSNR(Curve):
    """The peak signal-to-noise ratio, over the range of the target."""

    of_all = staticmethod(functional.psnr)


class SSIM(Curve):
    """The mean structural similarity."""

    of_all = staticmethod(functional.ssim)
