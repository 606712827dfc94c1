"""Optimizers by name."""

import difflib
import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer


def optimizer_class(name: str) -> type[Optimizer]:
    """An optimizer's class in torch.optim by its name.

    Raises:
        ValueError: torch.optim has no optimizer of that name.
    """
    known = {n: c for n, c in vars(torch.optim).items() if isinstance(c, type) and issubclass(c, Optimizer)}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)
        raise ValueError(f"torch.optim has no optimizer '{name}'; the nearest names: {', '.join(near)}")
    return known[name]


def make_optimizer(
    chosen: type[Optimizer], parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float
) -> Optimizer:
    """The optimizer over the parameters; its other arguments keep torch's defaults.

    Raises:
        ValueError: it takes no weight decay and one was given.
    """
    build: Any = chosen
    if not weight_decay:
        return build(parameters, lr=lr)
    if "weight_decay" not in inspect.signature(chosen).parameters:
        raise ValueError(f"torch.optim.{chosen.__name__} takes no weight_decay, received {weight_decay}: leave it at 0")
    return build(parameters, lr=lr, weight_decay=weight_decay)
