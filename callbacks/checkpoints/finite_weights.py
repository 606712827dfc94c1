"""Checkpoints whose weights are NaN or infinite: none is written, and no run resumes from one.

A parameter is never either. A buffer may be, where it was before the training: a mask of -inf, or a bound that is not
known yet. Parameters and buffers look the same in a checkpoint, so the names of such buffers are put into it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..lightning_internals import get_stored_values

KEY = "not_finite_at_start"  # in the checkpoint: names of buffers
# The weights; and where those are a mean of several steps, the ones that training continues with.
PLACES = ("state_dict", "current_model_state")


def list_not_finite(tensors: Iterable[tuple[str, Any]]) -> list[str]:
    """List the names of those tensors that hold NaN or an infinite value."""
    return [name for name, tensor in tensors if isinstance(tensor, Tensor) and not _pass(torch.isfinite, tensor)]


def find_broken_weight(checkpoint: Mapping[str, Any]) -> str | None:
    """Find the name of the first tensor of a checkpoint that weights must not be; None where all are finite.

    In a checkpoint of another program, without names of buffers, only NaN counts: an infinite value may be a mask.
    """
    known = checkpoint.get(KEY)
    for place in PLACES:
        for name, tensor in checkpoint.get(place, {}).items():
            if not isinstance(tensor, Tensor) or name in (known or ()):
                continue
            if not _pass(torch.isfinite if known is not None else _is_not_nan, tensor):
                return str(name)
    return None


def _is_not_nan(tensor: Tensor) -> Tensor:
    return ~torch.isnan(tensor)


def _pass(test: Any, tensor: Tensor) -> bool:
    """Return whether all values of a tensor pass a test; integers do, and dtypes that have no NaN."""
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.is_meta:
        return True
    if tensor.layout == torch.sparse_coo:
        tensor = get_stored_values(tensor)
    elif tensor.layout != torch.strided:
        tensor = tensor.to_dense() if tensor.is_mkldnn else tensor.values()
    try:
        # Neither test knows all types of eight bits.
        return bool(test(tensor.float() if tensor.element_size() == 1 else tensor).all())
    except NotImplementedError:  # of four bits, which have no NaN
        return True
