"""A batch: for each field what it made of some examples."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from typing_extensions import Self


class Batch:
    """Values of some examples, by the names of the fields, such as `batch.text`.

    Args:
        data: the examples; None makes an empty batch.
        dataset: their data set, whose fields make tensors of them.
        device: where the tensors are made; None: the CPU.

    Attributes:
        batch_size: number of examples.
        dataset: the data set.
        fields: names of its fields.
        input_fields: names of those that are no targets.
        target_fields: names of those that are.
    """

    def __init__(self, data: Sequence[Any] | None = None, dataset: Any = None, device: Any = None) -> None:
        if data is None:
            return
        used = {name: field for name, field in dataset.fields.items() if field is not None}
        self.batch_size = len(data)
        self.dataset = dataset
        self.fields = list(dataset.fields)
        self.input_fields = [name for name, field in used.items() if not field.is_target]
        self.target_fields = [name for name, field in used.items() if field.is_target]
        for name, field in used.items():
            setattr(self, name, field.process([getattr(example, name) for example in data], device=device))

    @classmethod
    def fromvars(cls, dataset: Any, batch_size: int, train: Any = None, **kwargs: Any) -> Self:
        """Make a batch of tensors.

        Args:
            dataset: a data set with these fields.
            batch_size: number of examples.
            train: not used.
            **kwargs: tensors by the names of the fields.
        """
        batch = cls()
        batch.batch_size = batch_size
        batch.dataset = dataset
        batch.fields = list(dataset.fields)
        batch.input_fields = [name for name in kwargs if name != "target"]
        batch.target_fields = [name for name in kwargs if name == "target"]
        vars(batch).update(kwargs)
        return batch

    def __len__(self) -> int:
        return self.batch_size

    def __iter__(self) -> Iterator[Any]:
        """Yield inputs and targets: None if there are none, a tensor, or a tuple of several."""
        for names in (self.input_fields, self.target_fields):
            values = tuple(getattr(self, name) for name in names)
            yield values if len(values) > 1 else values[0] if values else None

    def to(self, device: Any, non_blocking: bool = False) -> Self:
        """Return the batch with its tensors on a device; Lightning's Trainer calls this."""
        moved = type(self)()
        vars(moved).update(vars(self))
        for name, value in self._values().items():
            setattr(moved, name, _move(value, device, non_blocking))
        return moved

    def __repr__(self) -> str:
        if not hasattr(self, "fields"):
            return "Batch()"
        values = "".join(f", {name}={_describe(value)}" for name, value in self._values().items())
        return f"Batch(batch_size={self.batch_size}{values})"

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.fields if hasattr(self, name)}


def _move(value: Any, device: Any, non_blocking: bool) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=non_blocking)
    if isinstance(value, tuple):
        return tuple(_move(item, device, non_blocking) for item in value)
    return value


def _describe(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)} on {value.device}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_describe, value))})"
    return f"a {type(value).__name__}"
