"""Metrics of torchkeras 3 and 4: of one logit and labels 0 and 1, on torchmetrics."""

from typing import Any

from torch import Tensor
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC, BinaryPrecision, BinaryRecall, BinaryROC

__all__ = ["AUC", "KS", "Accuracy", "Precision", "Recall"]


class OfLogits:
    """Turns logits into probabilities; torchmetrics would take a batch of logits within [0, 1] for probabilities."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch: logits and labels of the same shape."""
        parent: Any = super()
        parent.update(preds.sigmoid(), target.long())


class Accuracy(OfLogits, BinaryAccuracy):
    """The fraction of labels that are right."""


class Precision(OfLogits, BinaryPrecision):
    """The fraction of predicted positives that are positive."""


class Recall(OfLogits, BinaryRecall):
    """The fraction of positives that are predicted."""


class AUC(OfLogits, BinaryAUROC):
    """The area under the ROC curve."""


class KS(OfLogits, BinaryROC):
    """The Kolmogorov-Smirnov statistic: the largest distance of the two rates of the ROC curve."""

    def compute(self) -> Any:
        """Return the statistic, ()."""
        false_positive_rate, true_positive_rate, _ = super().compute()
        return (true_positive_rate - false_positive_rate).max()
