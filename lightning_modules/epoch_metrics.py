"""Scores that are no mean of batches, of models of labels and numbers; torchmetrics' own take a second to import."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from lightfit.platforms import find_sum_dtype


class MicroF1(Metric):
    """F1 over all labels of all samples together.

    Attributes:
        thresholds: that the probabilities of a label must reach: one for all, or one for each label, (K,).
    """

    full_state_update = False
    hits: Tensor
    chosen: Tensor
    present: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.thresholds: float | Tensor = 0.5
        for name in ("hits", "chosen", "present"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch: probabilities (B, K), and labels (B, K) of 0 and 1."""
        chosen, present = preds >= self.thresholds, target > 0
        self.hits += (chosen & present).sum()
        self.chosen += chosen.sum()
        self.present += present.sum()

    def compute(self) -> Tensor:
        """Return the F1, () float32; 0 where nothing is present or chosen."""
        return 2 * self.hits / (self.chosen + self.present).clamp(min=1)


class R2(Metric):
    """The fraction of the variance of the truth that is explained, the mean over numbers.

    Args:
        num_outputs: how many numbers a sample has.
        mean: about the mean of each number, which is subtracted first so that no digits are lost; None: 0.
    """

    full_state_update = False
    num_samples: Tensor
    total: Tensor
    squares: Tensor
    errors: Tensor

    def __init__(self, num_outputs: int = 1, *, mean: Sequence[float] | None = None) -> None:
        super().__init__()
        self.mean = list(mean or [0.0] * num_outputs)
        dtype = find_sum_dtype()
        self.add_state("num_samples", torch.zeros((), dtype=dtype), dist_reduce_fx="sum")
        for name in ("total", "squares", "errors"):
            self.add_state(name, torch.zeros(num_outputs, dtype=dtype), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch of predictions and truth, (B, K)."""
        mean = self.total.new_tensor(self.mean)
        preds, target = preds.to(self.total) - mean, target.to(self.total) - mean
        self.num_samples += len(target)
        self.total += target.sum(0)
        self.squares += target.square().sum(0)
        self.errors += (preds - target).square().sum(0)

    def compute(self) -> Tensor:
        """Return R2, (); NaN where the truth does not vary."""
        variation = self.squares - self.total.square() / self.num_samples
        return (1 - self.errors / variation.where(variation > 0, torch.nan)).mean()
