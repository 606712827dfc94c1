"""The division of examples into train, test and validation at random."""

from collections.abc import Sequence
from typing import Any

from .utils import RandomShuffler


def split_examples(
    examples: Sequence[Any], split_ratio: float | Sequence[float], shuffle: RandomShuffler, strata_field: str | None
) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the examples of train, test and validation, in a random order.

    Args:
        examples: the examples.
        split_ratio: fraction of train, or relative sizes of train, test and optionally validation.
        shuffle: returns indices in a random order.
        strata_field: each value of this field is divided by the ratios; None: all examples at once.

    Raises:
        ValueError: a ratio makes no sense.
    """
    ratios = _normalize(split_ratio)
    parts: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for group in [examples] if strata_field is None else _group(examples, strata_field):
        count = len(group)
        order = shuffle(range(count))
        num_train = round(ratios[0] * count)
        num_test = round(ratios[1] * count) if ratios[2] else count - num_train
        chosen = order[:num_train], order[num_train : num_train + num_test], order[num_train + num_test :]
        for part, indices in zip(parts, chosen, strict=True):
            part += [group[index] for index in indices]
    return parts


def _normalize(split_ratio: float | Sequence[float]) -> tuple[float, float, float]:
    """Return fractions of train, test and validation that sum to 1."""
    if isinstance(split_ratio, float):
        if not 0 < split_ratio < 1:
            raise ValueError(f"expected `split_ratio` between 0 and 1, received {split_ratio}")
        return split_ratio, 1 - split_ratio, 0.0
    if not isinstance(split_ratio, Sequence) or len(split_ratio) not in (2, 3) or min(split_ratio) < 0:
        raise ValueError(
            "expected `split_ratio` as a float, or as a list of 2 or 3 sizes of train, test and validation, received "
            f"{split_ratio!r}"
        )
    if (total := sum(split_ratio)) == 0:
        raise ValueError("expected `split_ratio` with a size above 0, received zeros only")
    if total != 1:
        split_ratio = [float(ratio) / total for ratio in split_ratio]
    train, test, val = [*split_ratio, 0.0][:3]
    return train, test, val


def _group(examples: Sequence[Any], field: str) -> list[list[Any]]:
    """Return the examples by the value of a field, sorted by it, so that the same seed divides them the same way."""
    groups: dict[Any, list[Any]] = {}
    for example in examples:
        groups.setdefault(getattr(example, field), []).append(example)
    return [groups[value] for value in sorted(groups, key=lambda value: (type(value).__name__, value))]
