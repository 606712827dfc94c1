"""Training that begins from weights of elsewhere: what to load, and how long to hold it still."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from lightning_modules.pretrained import head_name


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """How training begins from weights that were trained before.

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


def parameter_groups(net: nn.Module, *, lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    """The head's parameters and all others, for an optimizer.

    Args:
        net: the net.
        lr: learning rate of the head.
        backbone_lr: that of the others, as a factor of it.
    """
    head = dict.fromkeys(net.get_submodule(head_name(net)).parameters())  # a set in order
    backbone = [parameter for parameter in net.parameters() if parameter not in head]
    return [{"params": list(head), "lr": lr}, {"params": backbone, "lr": lr * backbone_lr}]


def backbone_parameters(net: nn.Module) -> list[nn.Parameter]:
    """All parameters that learn, but the head's."""
    head = set(net.get_submodule(head_name(net)).parameters())
    return [parameter for parameter in net.parameters() if parameter.requires_grad and parameter not in head]


def hold_still(net: nn.Module) -> None:
    """Puts all modules but the head into evaluation mode: no dropout, and norms keep their statistics."""
    head = net.get_submodule(head_name(net))
    for module in net.modules():
        if module is not head:
            module.training = False
