"""Training from pretrained weights: loading them, and how long to freeze the backbone."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .nets.torchvision_net import TorchvisionNet, find_quirks
from .weights import read_weights

State = dict[str, Tensor]
PREFIXES = ("module.", "net.", "model.")  # of DataParallel, of a LightModel's checkpoint, of TorchvisionNet
COUNTER = "num_batches_tracked"  # of batch norms; files from before torch 0.4.1 lack it, and nothing needs it


class Loaded(NamedTuple):
    """What became of each key: taken over, left out of the file, or left in the net as it was."""

    loaded: list[str]
    skipped: list[str]
    left: list[str]

    def __str__(self) -> str:
        return (
            f"loaded: {len(self.loaded)} tensors\n"
            f"skipped, of another shape: {'; '.join(self.skipped) or 'none'}\n"
            f"left as they were: {', '.join(self.left) or 'none'}"
        )


def load_pretrained(
    net: nn.Module, state: Mapping[str, Tensor], *, rewrites: Mapping[str, str] | None = None
) -> Loaded:
    """Load weights into a net, all but those of a head for other classes.

    Args:
        net: the net; of a TorchvisionNet the net within.
        state: tensors or parameters by key. A prefix of all keys that wrappers add (`module.`, `net.`, `model.`) is
            dropped.
        rewrites: replacements by regular expression, made in every key, in this order: `{"group\\d+\\.": ""}`.

    Raises:
        ValueError: a key is missing or unexpected, with the nearest match, or has another shape that is no head's, or a
            regular expression is none, or makes two keys the same. Nothing is loaded then.
    """
    target = _inner(net).state_dict()
    source = _renamed(state, rewrites or {}, set(target))
    head = find_head(_inner(net))
    in_head = {key for key in target if key.rpartition(".")[0] == head}
    for key in source:
        if key not in target:
            raise ValueError(f"unexpected key '{key}' in the weights; {_near(key, target)}{HINT}")
    for key in target:
        if key not in source and key not in in_head and not key.endswith(COUNTER):
            raise ValueError(f"the weights lack the key '{key}', which the net has; {_near(key, source)}{HINT}")
    other = [key for key in target if key in source and source[key].shape != target[key].shape]
    if wrong := [key for key in other if key not in in_head]:
        key = wrong[0]
        raise ValueError(
            f"'{key}' has the shape {tuple(source[key].shape)} in the weights and {tuple(target[key].shape)} in the "
            f"net, and it is not the head ('{head}'), which alone may differ: these are weights for another net"
        )
    taken = {key: value for key, value in source.items() if key not in other}
    _inner(net).load_state_dict(taken, strict=False)
    shapes = [f"{key} {tuple(source[key].shape)}, the net has {tuple(target[key].shape)}" for key in other]
    return Loaded(list(taken), shapes, [key for key in target if key not in taken and not key.endswith(COUNTER)])


HINT = ". Rename keys by rewrites (regular expression: replacement), or take weights that were made for this net"


def find_head(net: nn.Module) -> str:
    """Find the name of the head: the last linear or convolutional layer.

    Raises:
        ValueError: the net has neither.
    """
    names = [name for name, module in net.named_modules() if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d))]
    if not names:
        raise ValueError(f"{type(net).__name__} has no linear or convolutional layer, so nothing that can be its head")
    return names[-1]


def read_pretrained_state(weights: str, net: nn.Module) -> State:
    """Read pretrained weights by name or from a file, on the CPU.

    Args:
        weights: a file (.ckpt, .pt, .pth, .safetensors), or the name of weights that torchvision publishes for the net:
            DEFAULT, IMAGENET1K_V1, ...
        net: the net that they are for.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds no weights, or torchvision has none of this name.
        ConnectionError: they cannot be downloaded; the message names where to put the file by hand.
    """
    if Path(weights).suffix in (".ckpt", ".pt", ".pth", ".safetensors", ".bin"):
        return read_weights(weights)[0]
    if not isinstance(net, TorchvisionNet):
        raise ValueError(
            f"torchvision has no weights for {type(net).__name__}: expected a file (.ckpt, .pt, .pth, .safetensors), "
            f"received '{weights}'"
        )
    import torchvision.models  # here: most training begins from no pretrained weights

    known = torchvision.models.get_model_weights(net.name)
    if weights not in known.__members__:
        names = ", ".join(known.__members__)
        raise ValueError(f"torchvision has no weights '{weights}' for {net.name}; it has: {names}")
    chosen = known[weights]
    try:
        return torchvision.models.get_model(net.name, weights=chosen, **find_quirks(net.name)).state_dict()
    except (OSError, RuntimeError) as error:  # RuntimeError: the download has another checksum
        place = Path(torch.hub.get_dir()) / "checkpoints" / Path(chosen.url).name
        raise ConnectionError(
            f"could not download {chosen.url} ({getattr(error, 'reason', error)}). Without a network, put the file at "
            f"'{place}' by hand and try again, or train from scratch with `finetune.weights` null"
        ) from error


def _inner(net: nn.Module) -> nn.Module:
    return net.model if isinstance(net, TorchvisionNet) else net


def _renamed(state: Mapping[str, Tensor], rewrites: Mapping[str, str], target: set[str]) -> State:
    renamed: State = {}
    for key, value in state.items():
        new = key
        for pattern, replacement in rewrites.items():
            try:
                new = re.sub(pattern, replacement, new)
            except re.error as error:
                raise ValueError(f"the rewrite '{pattern}' is no regular expression: {error}") from error
        if new in renamed:
            raise ValueError(f"the rewrites make two keys of the weights the same, '{new}'; one was '{key}'")
        renamed[new] = value.detach()
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in renamed) and not any(key.startswith(prefix) for key in target):
            renamed = {key.removeprefix(prefix): value for key, value in renamed.items()}
    return renamed


def _near(key: str, known: Mapping[str, Tensor]) -> str:
    near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.3)
    return f"the nearest is '{near[0]}'" if near else "nothing is like it"


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Fine-tuning from pretrained weights.

    Args:
        weights: a file (.ckpt, .pt, .pth, .safetensors) with a state dict or a checkpoint, or the name of weights that
            torchvision publishes for a TorchvisionNet: DEFAULT, IMAGENET1K_V1, ...; null: from scratch.
        rewrites: replacements in the names of the weights, by regular expression.
        freeze_epochs: number of epochs in which only the head learns.
        backbone_lr: learning rate of all but the head, as a factor of the head's.
    """

    weights: str | None = None
    rewrites: dict[str, str] = field(default_factory=dict)
    freeze_epochs: int = 0
    backbone_lr: float = 1.0

    def __post_init__(self) -> None:
        if self.freeze_epochs < 0:
            raise ValueError(f"expected finetune.freeze_epochs of at least 0, received {self.freeze_epochs}")
        if not self.backbone_lr > 0:
            raise ValueError(f"expected finetune.backbone_lr above 0, received {self.backbone_lr}")


def group_parameters(net: nn.Module, *, lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    """Group the head's parameters and all others, for an optimizer.

    Args:
        net: the net.
        lr: learning rate of the head.
        backbone_lr: that of the others, as a factor of it.
    """
    head = dict.fromkeys(net.get_submodule(find_head(net)).parameters())  # a set in order
    backbone = [parameter for parameter in net.parameters() if parameter not in head]
    return [{"params": list(head), "lr": lr}, {"params": backbone, "lr": lr * backbone_lr}]


def list_backbone_parameters(net: nn.Module) -> list[nn.Parameter]:
    """List all parameters that learn, but the head's."""
    head = set(net.get_submodule(find_head(net)).parameters())
    return [parameter for parameter in net.parameters() if parameter.requires_grad and parameter not in head]


def freeze_modules(net: nn.Module) -> None:
    """Put all modules but the head into evaluation mode: no dropout, and norms keep their statistics."""
    head = net.get_submodule(find_head(net))
    for module in net.modules():
        if module is not head:
            module.training = False
