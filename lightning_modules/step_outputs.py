"""What `shared_step` may return, and which scalars are in it."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor

UNLOGGED = ("preds", "target")  # what torchmetrics see: of any shape
PER_SAMPLE = 0  # in place of the length of a vector


def read_outputs(returned: Any, owner: str, *, training: bool) -> dict[str, Any]:
    """Read what `shared_step` returned as a dict with the loss, ().

    Args:
        returned: a dict with `"loss"`, or the loss alone.
        owner: name of the model's class, for the messages.
        training: whether the loss is to be minimised.

    Raises:
        TypeError: it is neither, or training has a loss that is no tensor.
        KeyError: the dict has no loss.
        ValueError: the loss is more than one number.
    """
    if isinstance(returned, Tensor):
        returned = {"loss": returned}
    if not isinstance(returned, Mapping):
        raise TypeError(
            f"{owner}.shared_step must return a dict with the key 'loss', or the loss alone as a tensor; received "
            f"{type(returned).__name__}"
        )
    outputs = dict(returned)
    if "loss" not in outputs:
        raise KeyError(f"{owner}.shared_step must return a dict with the key 'loss', received {sorted(outputs)}")
    loss = outputs["loss"]
    if isinstance(loss, Tensor):
        if loss.ndim:
            if loss.numel() != 1:
                raise ValueError(
                    f"{owner}.shared_step returned a loss of shape {tuple(loss.shape)}: expected one number for the "
                    "batch, such as its mean"
                )
            outputs["loss"] = loss.reshape(())
    elif training:
        raise TypeError(
            f"{owner}.shared_step returned a loss that is no tensor but {type(loss).__name__}, so nothing can be "
            "learned from it: expected a tensor that the net's parameters lead to, without .item() or float()"
        )
    return outputs


class ScalarReader:
    """Finds the scalars to log among the values that are no tensors of no dimensions.

    A vector is logged by its entries where it is of another length than the batch: one value for each class. Otherwise
    it may hold a value for each sample, and is not logged; neither are tensors of more dimensions.
    """

    def __init__(self) -> None:
        self._lengths: dict[str, int] = {}  # by name

    def read(
        self, name: str, value: Any, num_samples: int, *, device: torch.device, name_entries: Callable[[int], list[str]]
    ) -> list[tuple[str, Tensor]]:
        """Return names and scalars () to log; none for what is not logged.

        Args:
            name: under which `shared_step` returned the value.
            value: what it returned.
            num_samples: number of samples in the batch.
            device: where numbers become tensors.
            name_entries: names the entries of a vector of this length.

        Raises:
            ValueError: a vector has another length than in the batches before.
        """
        if name in UNLOGGED:
            return []
        if isinstance(value, Tensor) and not value.ndim:
            return [(name, value)]
        if isinstance(value, (bool, int, float)):
            return [(name, torch.as_tensor(value, device=device))]
        if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biuf":
            value = torch.as_tensor(np.asarray(value), device=device)
        elif isinstance(value, Number) and not isinstance(value, complex):  # a Fraction, a Decimal
            value = torch.as_tensor(float(value), device=device)  # type: ignore[arg-type]
        if not isinstance(value, Tensor) or (value.ndim > 1 and value.numel() != 1):
            return []
        if not value.ndim:
            return [(name, value)]
        value = value.reshape(-1)
        if not self._is_of_classes(name, len(value), num_samples):
            return []
        if len(value) == 1:
            return [(name, value[0])]
        return [(f"{name}_{entry}", value[index]) for index, entry in enumerate(name_entries(len(value)))]

    def _is_of_classes(self, name: str, length: int, num_samples: int) -> bool:
        """Return whether a vector holds a value for each class, or one for the whole batch, not one a sample."""
        known = self._lengths.get(name)
        if known is None and length == num_samples == 1:
            return True  # the same in both cases
        if known is None:
            known = self._lengths[name] = PER_SAMPLE if length == num_samples else length
        if known not in (length, PER_SAMPLE) or (known == PER_SAMPLE and length != num_samples):
            before = "one value for each sample" if known == PER_SAMPLE else f"{known} values"
            raise ValueError(
                f"shared_step returned {length} values as '{name}' for a batch of {num_samples}, and {before} in a "
                "batch before: expected as many in each batch, which are logged by class, or one for each sample, "
                f"which are not logged. Return what is not to be logged in a tuple, as '{name}': (values,)"
            )
        return known != PER_SAMPLE


def name_classes(length: int, class_names: Sequence[str]) -> list[str]:
    """Name the entries of a vector by the classes, where these are as many; otherwise by their index.

    Slashes become underscores: loggers and file names would take them for folders.
    """
    names = [str(name).replace("/", "_") for name in class_names]
    return names if len(names) == length == len(set(names)) else [str(index) for index in range(length)]
