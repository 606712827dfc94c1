"""How far the predictions of an exported file are from those of the model, for batches and texts of many sizes."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightfit.lightning_modules import LightModel

from .formats import LENGTH, Exported

BATCH_SIZES = (1, 2, 3, 7)
MOST_WORDS = 512  # of the texts that are compared, unless the samples are longer


class Agreement(NamedTuple):
    """How far predictions of a file are from those of the model.

    Args:
        difference: the largest difference: absolute for values up to 1, and relative above.
        answered: a length of texts that the net refuses and the file answers; 0: none.
        refused: a length of texts that the file refuses and the net answers; 0: none.
    """

    difference: float
    answered: int = 0
    refused: int = 0


def compare(exported: Exported, model: LightModel, x: Tensor, *, longest: int | None = None) -> Agreement:
    """Compare the predictions of a file and of the model, for several batch sizes, and lengths if it takes any.

    Args:
        exported: the file.
        model: the model that it is of.
        x: encoded samples, (B, ...).
        longest: number of words to which texts are cut; None: to none.
    """
    worst, answered, refused = 0.0, 0, 0
    with torch.inference_mode():
        for size in (*BATCH_SIZES, len(x)):
            batch = take_cyclic(x, 0, size)
            worst = max(worst, measure_distance(exported.runtime(batch), model.predict_step(batch, 0)))
        for length in choose_lengths(x.shape[1], longest) if LENGTH in exported.sizes else ():
            batch = take_cyclic(x, 1, length)
            found, expected = (
                _try(predict, batch) for predict in (exported.runtime, lambda x: model.predict_step(x, 0))
            )
            if found is None or expected is None:
                answered = length if found is not None else answered
                refused = length if expected is not None else refused
            else:
                worst = max(worst, measure_distance(found, expected))
    return Agreement(worst, answered, refused)


def take_cyclic(x: Tensor, dim: int, size: int) -> Tensor:
    """Return a tensor with another size: its beginning, or itself several times."""
    return x.index_select(dim, torch.arange(size) % x.shape[dim])


def choose_lengths(length: int, longest: int | None) -> Sequence[int]:
    """Choose lengths of texts to compare: short ones, one more, and twice as many words and three."""
    most = longest or max(MOST_WORDS, length)
    return sorted({own for own in (1, 2, 3, 5, length + 1, 2 * length + 3) if own <= most})


def measure_distance(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference of two tensors: absolute for values up to 1, relative above, infinite if NaN."""
    if found.shape != expected.shape:
        return float("inf")
    found, expected = found.double(), expected.double()
    difference = (found - expected).abs() / expected.abs().clamp(min=1)
    same = (found == expected) | (found.isnan() & expected.isnan())
    return float(difference.masked_fill(same, 0.0).nan_to_num(nan=float("inf")).max()) if found.numel() else 0.0


def _try(predict: object, batch: Tensor) -> Tensor | None:
    try:
        found: Tensor = predict(batch)  # type: ignore[operator]
    except Exception:  # of any kind, of a net or a runtime
        return None
    return found
