"""Layers by name, and their outputs for a batch."""

import difflib
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn


def feature_maps(net: nn.Module, x: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Compute the outputs of a net's layers for a batch, in the order in which they are called.

    The net runs once, in evaluation mode without gradients, and is left as it was.

    Args:
        net: the net.
        x: a batch for it.
        layers: names of layers, or patterns of names such as `blocks.*.conv1`; None for every Conv2d and Conv1d.

    Returns:
        By layer (B, channels, H', W') or (B, channels, T'), detached, on the net's device.

    Raises:
        ValueError: a name matches no layer; the nearest are named.
    """
    modes = {module: module.training for module in net.modules()}
    try:
        with Recorder(net, layers) as recorder, torch.no_grad():
            net.eval()(x)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return recorder.outputs


def choose_layers(net: nn.Module, layers: Iterable[str] | None) -> dict[str, nn.Module]:
    """Choose layers by name: those that the patterns match, or every convolution.

    Raises:
        ValueError: a pattern matches none; the nearest names are given.
    """
    named = {name: module for name, module in net.named_modules() if name}
    if layers is None:
        return {name: module for name, module in named.items() if isinstance(module, (nn.Conv1d, nn.Conv2d))}
    for pattern in layers:
        if not any(fnmatchcase(name, pattern) for name in named):
            near = difflib.get_close_matches(pattern, named, n=3, cutoff=0.3) or list(named)[:5]
            raise ValueError(f"no layer of {type(net).__name__} is named '{pattern}'; the nearest: {', '.join(near)}")
    return {name: module for name, module in named.items() if any(fnmatchcase(name, pattern) for pattern in layers)}


class Recorder(AbstractContextManager["Recorder"]):
    """Keeps the outputs of layers while it is open.

    Args:
        net: the net.
        layers: as in `choose_layers`.
    """

    def __init__(self, net: nn.Module, layers: Iterable[str] | None) -> None:
        self.outputs: dict[str, Tensor] = {}
        self._handles = [
            module.register_forward_hook(self._hook(name)) for name, module in choose_layers(net, layers).items()
        ]

    def _hook(self, name: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                self.outputs[name] = output.detach()

        return keep

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()
