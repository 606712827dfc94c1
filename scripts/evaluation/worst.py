"""The samples with the largest errors: of label sets and numbers as tables, and of all, what they look like."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lightfit.callbacks.pictures.most_wrong import ROWS, name_place
from lightfit.callbacks.pictures.protocols import Denormalises, as_colours
from lightfit.datamodules import DataModule
from lightfit.datamodules.targets import SEPARATOR

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Shown(NamedTuple):
    """What a sample looks like: its text, or its picture, (h, w, 3) uint8."""

    text: str = ""
    picture: NDArray[np.uint8] | None = None


def find_worst_sets(
    chosen: Flags, present: Flags, probabilities: NDArray[Any], names: Sequence[str], places: Sequence[str]
) -> tuple[pd.DataFrame, tuple[int, ...]]:
    """Find the samples with the most wrong labels, and among equals those with the least probable truth.

    Args:
        chosen: the labels that were predicted, (N, K).
        present: the true ones, (N, K).
        probabilities: (N, K).
        names: names of the labels.
        places: the place of each sample.

    Returns:
        A table with `file`, `true`, `predicted`, `wrong_labels`, at most 1,000 rows, and the indices of its samples.
    """
    num_wrong = (chosen != present).sum(1)
    own = np.where(present, probabilities, 1 - probabilities)
    log_loss = -np.log(np.clip(own, 1e-7, None)).sum(1)
    rows = np.lexsort((-log_loss, -num_wrong))[: min(int((num_wrong > 0).sum()), ROWS)].tolist()
    table = pd.DataFrame(
        {
            "file": [name_place(row, places) for row in rows],
            "true": [_join(present[row], names) for row in rows],
            "predicted": [_join(chosen[row], names) for row in rows],
            "wrong_labels": num_wrong[rows],
        }
    )
    return table, tuple(rows)


def _join(flags: Flags, names: Sequence[str]) -> str:
    return SEPARATOR.join(names[index] for index in np.flatnonzero(flags).tolist())


def find_worst_numbers(
    predictions: Floats, y: Floats, std: Floats, names: Sequence[str], places: Sequence[str]
) -> tuple[pd.DataFrame, tuple[int, ...]]:
    """Find the samples with the largest errors, of several numbers in the mean over them in standard deviations.

    Args:
        predictions: the number and the ends of its interval, (N, K, 3), in the units of the data.
        y: the truth, (N, K), likewise.
        std: standard deviation of each number in training, (K,).
        names: names of the numbers.
        places: the place of each sample.

    Returns:
        A table with `file`, and of each number `<name>_true`, `<name>_predicted` and `<name>_error`, at most 1,000
        rows, and the indices of its samples.
    """
    errors = predictions[..., 0] - y
    rows = np.argsort(-np.abs(errors / std).mean(1), kind="stable")[:ROWS].tolist()
    columns: dict[str, Any] = {"file": [name_place(row, places) for row in rows]}
    for index, name in enumerate(names):
        columns[f"{name}_true"] = y[rows, index]
        columns[f"{name}_predicted"] = predictions[rows, index, 0]
        columns[f"{name}_error"] = errors[rows, index]
    return pd.DataFrame(columns), tuple(rows)


def show_samples(data: DataModule, split: str, rows: Sequence[int]) -> list[Shown]:
    """Return what samples of a split look like: texts and images; nothing for samples of another kind.

    Args:
        data: the data, set up.
        split: name of the split.
        rows: indices of the samples.
    """
    if not rows:
        return []
    codec: Any = data.codec
    if isinstance(codec, Denormalises):
        x, _ = data.loaded.batches[split][torch.tensor(rows)]
        colours = (as_colours(codec, x).clamp(0, 1) * 255).round().byte().numpy()
        return [Shown(picture=picture) for picture in colours]
    if codec.domain == "text" and hasattr(data, "find_texts"):
        return [Shown(text=text) for text in data.find_texts(split, rows)]
    return []
