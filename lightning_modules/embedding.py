"""Embeddings: what the last layer of a net gets for its samples."""

from typing import Any

import torch
from torch import Tensor, nn

from .finetuning import find_head


def embed(net: nn.Module, x: Tensor) -> Tensor:
    """Return the input of a net's head for each sample, (B, D) float32; the net is left as it was.

    Args:
        net: the net; its head is its last linear or convolutional layer.
        x: a batch for it, (B, ...).

    Raises:
        ValueError: the net has no head, or calls it on something else than a tensor with a row for each sample.
    """
    seen: list[Any] = []
    head = net.get_submodule(find_head(net))
    modes = {module: module.training for module in net.modules()}
    handle = head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    try:
        with torch.no_grad():
            net.eval()(x)
    finally:
        handle.remove()
        for module, mode in modes.items():
            module.training = mode
    features = seen[-1] if seen else None
    if not isinstance(features, Tensor) or features.ndim < 2 or len(features) != len(x):
        raise ValueError(
            f"{type(net).__name__} has no embedding of each sample: expected its last layer to get a tensor with "
            f"{len(x)} rows, received {tuple(features.shape) if isinstance(features, Tensor) else 'none'}"
        )
    features = features.detach().float().cpu()
    if features.ndim > 2 and isinstance(head, nn.Linear):  # tokens (B, ..., D)
        return features.flatten(1, -2).mean(1)
    return features.flatten(2).mean(2) if features.ndim > 2 else features  # maps (B, D, ...)
