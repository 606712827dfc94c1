"""Examples: training samples that a checkpoint holds on request, to try the model with."""

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from typing_extensions import NotRequired

from lightfit.errors import CheckpointError

MOST_EXAMPLES = 100
MOST_CHARS = 2_000  # of a text; a longer one is cut
MOST_BYTES = 2**20  # of a file
KEYS = {"text", "name", "type", "content", "label"}


class Example(TypedDict):
    """A training sample as plain data: a `text`, or a file with its `name`, media `type` and `content` in base64.

    `label` is what it is in the training data, in a few words; absent for series.
    """

    text: NotRequired[str]
    name: NotRequired[str]
    type: NotRequired[str]
    content: NotRequired[str]
    label: NotRequired[str]


def choose_rows(labels: NDArray[Any], count: int) -> list[int]:
    """Return `count` rows, or all if there are fewer: of classes about equally many of each, spread over its rows.

    Args:
        labels: class index of each row, (N,) of an integer dtype; other targets, (N, ...), are spread over all rows.
        count: number of rows.
    """
    if labels.ndim > 1 or not np.issubdtype(labels.dtype, np.integer):
        return _spread(np.arange(len(labels)), count)
    by_class = [np.flatnonzero(labels == index) for index in np.unique(labels)]
    by_class = [by_class[place] for place in _spread(np.arange(len(by_class)), count)]
    whole, more = divmod(count, max(len(by_class), 1))
    chosen = [_spread(own, whole + (place < more)) for place, own in enumerate(by_class)]
    return [row for own in chosen for row in own]


def _spread(rows: NDArray[np.int64], count: int) -> list[int]:
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))].tolist()


def cut_text(text: str) -> str:
    """Return a text as an example, cut at `MOST_CHARS`."""
    return text if len(text) <= MOST_CHARS else text[:MOST_CHARS].rstrip()


def check_examples(held: Any) -> tuple[Example, ...]:
    """Return examples that a checkpoint holds.

    Raises:
        CheckpointError: they are not lists of texts and files of a limited size.
    """
    valid = isinstance(held, Sequence) and len(held) <= MOST_EXAMPLES and all(map(_is_example, held))
    if not valid:
        raise CheckpointError(
            f"the checkpoint's examples are damaged or forged: expected at most {MOST_EXAMPLES}, each a text or a file "
            "of limited size"
        )
    return tuple(held)


def _is_example(item: Any) -> bool:
    if not (isinstance(item, dict) and set(item) <= KEYS and all(isinstance(value, str) for value in item.values())):
        return False
    is_whole = "text" in item or {"name", "type", "content"} <= set(item)
    return is_whole and sum(map(len, item.values())) <= 2 * MOST_BYTES
