"""What a run around a pretrained encoder costs, said before it begins."""

import time
from typing import Any

import torch
from torch import Tensor, nn

LONG_S = 120.0  # from here on a shorter first try is named
SHORT_TRY = "--model.finetune.head linear"


def describe_cost(net: nn.Module, data: Any, finetune: Any, x: Tensor | None, *, epochs: int, device_type: str) -> str:
    """Return a line with the time that the training of an encoder takes, from a timed batch; "" for other nets.

    Args:
        net: the net.
        data: the DataModule, which was read.
        finetune: how it is trained, as `FineTuning`.
        x: some encoded texts, (B, T); None: nothing is known.
        epochs: number of epochs; -1 for no limit.
        device_type: where the net will run; elsewhere than on the CPU nothing is timed.
    """
    lengths = getattr(getattr(data, "train_data", None), "lengths", None)
    if not hasattr(net, "encoder_argument") or x is None or lengths is None:
        return ""
    tokens, size = int(lengths.sum()), sum(parameter.numel() for parameter in net.parameters())
    what = f"{len(lengths):,} texts of {tokens:,} tokens an epoch, {size / 1e6:.1f} million parameters"
    if device_type != "cpu":
        return f"{what}: {6e-12 * size * tokens:,.1f} TFLOP an epoch"
    forward, both = time_batch(net, x)
    linear = forward * tokens
    if finetune.head == "linear" or epochs < 1:
        return f"about {format_seconds(linear if epochs > 0 else both * tokens)} an epoch: {what}"
    frozen = min(finetune.frozen_epochs, epochs)
    seconds = (frozen * forward + (epochs - frozen) * both) * tokens
    shorter = f"; {SHORT_TRY}, a first try: about {format_seconds(linear)}" if seconds > LONG_S else ""
    return f"about {format_seconds(seconds)} for {epochs} epoch{'s' * (epochs > 1)}: {what}{shorter}"


def time_batch(net: nn.Module, x: Tensor) -> tuple[float, float]:
    """Return the seconds for each token of a forward pass, and of one with gradients; the net is left as it was."""
    modes = {module: module.training for module in net.modules()}
    net.eval()  # no dropout, so that no random number is drawn
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    try:
        with torch.no_grad():
            net(x)  # the first call allocates
            started = time.perf_counter()
            net(x)
            forward = time.perf_counter() - started
        started = time.perf_counter()
        torch.autograd.grad(net(x).sum(), parameters, allow_unused=True)
        both = time.perf_counter() - started
    finally:
        for module, mode in modes.items():
            module.training = mode
    return forward / x.numel(), both / x.numel()


def format_seconds(seconds: float) -> str:
    """Return a duration in s, min or h, as exact as it is known."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
