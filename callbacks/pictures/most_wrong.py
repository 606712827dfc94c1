"""The samples that were classified wrongly, by confidence: the first places to look for wrong labels."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

FILE = "most_wrong.csv"
ROWS = 1000  # of the table


class Wrong(NamedTuple):
    """Samples that were classified wrongly, each tensor (N,)."""

    row: Tensor  # index of the sample in its split; -1 where it is not known
    true: Tensor
    predicted: Tensor
    probability: Tensor  # of the predicted class
    probability_of_true: Tensor

    def take(self, index: Tensor | slice) -> "Wrong":
        """Return some of the samples."""
        return Wrong(*(column[index] for column in self))


def find_wrong(preds: Tensor, target: Tensor, rows: Tensor | None = None) -> Wrong:
    """Find the samples that were classified wrongly, those with the highest probability first.

    Args:
        preds: probabilities, (N, num_classes).
        target: the true classes, (N,) int64.
        rows: index of each sample in its split, (N,); by default their positions.
    """
    probability, predicted = preds.max(1)
    rows = torch.arange(len(target), device=target.device) if rows is None else rows.to(target.device)
    every = Wrong(rows, target, predicted, probability, preds.gather(1, target[:, None])[:, 0])
    wrong = (predicted != target).nonzero()[:, 0]
    return every.take(wrong[probability[wrong].argsort(descending=True, stable=True)])


def join_wrong(shares: Sequence[Wrong]) -> Wrong:
    """Join samples of batches or ranks, on the CPU, those with the highest probability first."""
    every = Wrong(*(torch.cat([column.cpu() for column in columns]) for columns in zip(*shares, strict=True)))
    return every.take(every.probability.argsort(descending=True, stable=True))


def tabulate_wrong(wrong: Wrong, names: Sequence[str], places: Sequence[str] = ()) -> pd.DataFrame:
    """Tabulate samples: `file`, `true`, `predicted`, `probability`, `probability_of_true`, at most `ROWS` of them.

    Args:
        wrong: the samples.
        names: names of the classes.
        places: the place of each sample of the split, such as its file; without it, the index of the sample stands.
    """
    wrong = wrong.take(torch.arange(min(len(wrong.row), ROWS)))
    return pd.DataFrame(
        {
            "file": [name_place(row, places) for row in wrong.row.tolist()],
            "true": [names[index] for index in wrong.true.tolist()],
            "predicted": [names[index] for index in wrong.predicted.tolist()],
            # Further digits would depend on the batching of the samples.
            "probability": wrong.probability.double().numpy().round(6),
            "probability_of_true": wrong.probability_of_true.double().numpy().round(6),
        }
    )


def name_place(row: int, places: Sequence[str]) -> str:
    """Return the place of a sample, its index where the data names no places, nothing where that is not known."""
    if 0 <= row < len(places):
        return places[row]
    return str(row) if row >= 0 and not places else ""


def describe_wrong(true: str, predicted: str, probability: float) -> str:
    """Return what a wrong sample is and what it was predicted as, on two lines."""
    return f"true: {true}\npredicted: {predicted} {probability:.0%}"
