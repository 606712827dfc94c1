"""Optimizers by name."""

import difflib
import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer


def optimizer(name: str, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float) -> Optimizer:
    """An optimizer of torch.optim; its other arguments keep torch's defaults.

    Raises:
        ValueError: torch.optim has no optimizer of that name, or it takes no weight decay and one was given.
    """
    names = [n for n, c in vars(torch.optim).items() if isinstance(c, type) and issubclass(c, Optimizer)]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or sorted(names)
        raise ValueError(f"torch.optim has no optimizer '{name}'; the nearest names: {', '.join(near)}")
    chosen: Any = getattr(torch.optim, name)
    if not weight_decay:
        return chosen(parameters, lr=lr)
    if "weight_decay" not in inspect.signature(chosen).parameters:
        raise ValueError(f"torch.optim.{name} takes no weight_decay, received {weight_decay}: leave it at 0")
    return chosen(parameters, lr=lr, weight_decay=weight_decay)
