"""How many samples a batch holds, whatever it is made of."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


def count_samples(batch: Any) -> int:
    """Count the samples in a batch.

    These are, in this order: `num_graphs` of a batch of graphs, or `batch_size` of one of torchtext; the sequences of a
    PackedSequence; the dicts of a list of dicts with the same keys; the images of a list of them that lies beside their
    targets, as in detection; the first dimension of the first tensor or array. Dicts, dataclasses, lists, tuples and
    objects with attributes may lie in each other.

    Raises:
        ValueError: the batch holds nothing of that.
    """
    if isinstance(batch, (tuple, list)) and batch and type(batch[0]) is Tensor and batch[0].ndim:
        return len(batch[0])  # (x, y): the others are not looked at, as this is done in every step
    found = _count(batch)
    if found is None:
        raise ValueError(
            f"expected a batch of tensors whose first dimension counts the samples, received {type(batch).__name__} "
            "without one: return (x, y) from the dataset, or define batch_size_of(batch) of the model"
        )
    return found


def _count(item: Any) -> int | None:
    if isinstance(item, (Tensor, np.ndarray)):
        return int(item.shape[0]) if item.ndim else None
    if isinstance(item, PackedSequence):
        return int(item.batch_sizes[0])  # of the first step, which every sequence has; it lies on the CPU
    for name in ("num_graphs", "batch_size"):
        if isinstance(getattr(item, name, None), int):
            return int(getattr(item, name))
    if _is_list_of_samples(item):
        return len(item)
    fields = _list_fields(item)
    listed = next((field for field in fields if _is_list_of_samples(field)), None)
    if listed is not None:
        return len(listed)
    if (samples := _count_listed(fields)) is not None:
        return samples
    counts = [count for count in map(_count, fields) if count is not None]
    if counts:
        return counts[0]
    if isinstance(item, (list, tuple)) and item and all(isinstance(entry, str) for entry in item):
        return len(item)
    return None


def _is_list_of_samples(item: Any) -> bool:
    """Return whether an item is a list of several dicts with the same keys; (x, y) may be two dicts with others."""
    if not isinstance(item, (list, tuple)) or len(item) < 2 or not isinstance(item[0], Mapping):
        return False
    return all(isinstance(sample, Mapping) and sample.keys() == item[0].keys() for sample in item)


def _count_listed(fields: Sequence[Any]) -> int | None:
    """Count the samples that lie in a list, as images of several sizes do: as many as another field has.

    None where there is no such list, or where all tensors have one first dimension: lists then hold fields, as the
    default collation makes them of tuples.
    """
    lists = [len(field) for field in fields if isinstance(field, (list, tuple)) and not hasattr(field, "_fields")]
    if not lists or len(set(_list_first_dimensions(fields))) < 2:
        return None
    sizes = lists + [len(field) for field in fields if isinstance(field, (Tensor, np.ndarray)) and field.ndim]
    return next((size for size in lists if sizes.count(size) > 1), None)


def _list_first_dimensions(fields: Sequence[Any]) -> Iterator[int]:
    waiting = list(fields)
    while waiting:
        item = waiting.pop()
        if isinstance(item, (Tensor, np.ndarray)):
            yield from item.shape[:1]
        else:
            waiting += _list_fields(item)


def _list_fields(item: Any) -> list[Any]:
    if isinstance(item, Mapping):
        return list(item.values())
    if isinstance(item, (list, tuple)):
        return list(item)
    if dataclasses.is_dataclass(item):
        return [getattr(item, field.name) for field in dataclasses.fields(item)]
    return [] if isinstance(item, (type, nn.Module)) else list(getattr(item, "__dict__", {}).values())
