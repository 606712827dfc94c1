"""Layers by name or chosen from any net, and their outputs for a batch, as maps."""

import difflib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

MOST_LAYERS = 8  # convolutions that are all shown; of more than these the first, the middle and the last one


def feature_maps(net: nn.Module, x: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Compute the outputs of a net's layers for a batch, in the order in which they are called.

    The net runs once, in evaluation mode without gradients, and is left as it was.

    Args:
        net: the net.
        x: a batch for it.
        layers: names of layers, or patterns of names such as `blocks.*.conv1`; None to choose them, as `choose_layers`.

    Returns:
        By layer (B, channels, H', W') or (B, channels, T'), detached, on the net's device. Of images the tokens of
        transformers are returned as such maps too, as `arrange_maps`.

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
    """Choose layers by name, or from any net.

    Args:
        net: the net.
        layers: names, or patterns of names. None: every convolution if there are at most `MOST_LAYERS`, else the first,
            the middle and the last one; of a transformer, which has hardly any, those of its blocks.

    Raises:
        ValueError: a pattern matches none; the nearest names are given.
    """
    named = {name: module for name, module in net.named_modules() if name}
    if layers is None:
        return _choose_any(net)
    for pattern in layers:
        if not any(fnmatchcase(name, pattern) for name in named):
            near = difflib.get_close_matches(pattern, named, n=3, cutoff=0.3) or list(named)[:5]
            raise ValueError(f"no layer of {type(net).__name__} is named '{pattern}'; the nearest: {', '.join(near)}")
    return {name: module for name, module in named.items() if any(fnmatchcase(name, pattern) for pattern in layers)}


def _choose_any(net: nn.Module) -> dict[str, nn.Module]:
    convolutions: dict[str, Any] = {n: m for n, m in net.named_modules() if isinstance(m, (nn.Conv1d, nn.Conv2d))}
    if is_transformer(net):
        return _spread(find_blocks(net))
    if len(convolutions) <= MOST_LAYERS:
        return convolutions
    # Those of one pixel mix channels, and some of them (squeeze and excitation) have maps of one pixel.
    wide = {name: module for name, module in convolutions.items() if max(module.kernel_size) > 1}
    return _spread(wide if len(wide) >= 3 else convolutions)


def is_transformer(net: nn.Module) -> bool:
    """Return whether a net of images has more than two blocks for each convolution, not counting patch embeddings."""
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    spatial = sum(max(conv.kernel_size) > 1 and conv.stride != conv.kernel_size for conv in convolutions)
    return bool(convolutions) and len(find_blocks(net)) > 2 * spatial


def find_blocks(net: nn.Module) -> dict[str, nn.Module]:
    """Find the blocks of a transformer: the modules of the class that is most often an item of a list of modules."""
    items: dict[str, nn.Module] = {}
    for name, module in net.named_modules():
        if isinstance(module, (nn.Sequential, nn.ModuleList)):
            prefix = f"{name}." if name else ""
            items |= {f"{prefix}{n}": item for n, item in module.named_children() if any(item.children())}
    items = {name: item for name, item in items.items() if not isinstance(item, (nn.Sequential, nn.ModuleList))}
    repeated = {kind for kind, count in Counter(map(type, items.values())).items() if count > 1}
    # Pieces of blocks are in lists too, such as a linear layer and its norm: what has no depth, in a repeated item.
    outer = tuple(f"{name}." for name, item in items.items() if type(item) in repeated)
    classes = Counter(
        type(item)
        for name, item in items.items()
        if any(map(_has_children, item.children())) or not name.startswith(outer)
    )
    if not classes or classes.most_common(1)[0][1] < 2:
        return {}
    chosen = classes.most_common(1)[0][0]
    return {name: item for name, item in items.items() if type(item) is chosen}


def _has_children(module: nn.Module) -> bool:
    return any(True for _ in module.children())


def _spread(layers: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    names = list(layers)
    return {name: layers[name] for name in dict.fromkeys((names[0], names[len(names) // 2], names[-1]))}


def arrange_maps(output: Tensor, size: tuple[int, int]) -> tuple[Tensor, int] | None:
    """Arrange a layer's output for images as maps.

    Args:
        output: maps (B, channels, h, w) or (B, h, w, channels), or tokens (B, k + h * w, channels).
        size: height and width of the images.

    Returns:
        Maps (B, channels, h, w), and the number k of tokens before those of the image, such as a class token; None for
        what is neither.
    """
    ratio = math.log(size[0] / size[1])
    if output.ndim == 4:
        first, last = (abs(math.log(output.shape[i] / output.shape[i + 1]) - ratio) for i in (2, 1))
        fits = output.shape[1] <= size[0] and output.shape[2] <= size[1]
        return (output.permute(0, 3, 1, 2) if fits and last < first - 1e-9 else output), 0
    if output.ndim != 3:
        return None
    for extra in range(min(6, output.shape[1])):  # a class token, one of distillation, four registers
        count = output.shape[1] - extra
        height = round(math.sqrt(count * size[0] / size[1]))
        if height and count % height == 0 and abs(math.log(height / (count // height)) - ratio) < 0.1:
            return output[:, extra:].transpose(1, 2).unflatten(2, (height, count // height)), extra
    return None


class Recorder(AbstractContextManager["Recorder"]):
    """Keeps the outputs of layers while it is open.

    Args:
        net: the net.
        layers: as in `choose_layers`.
    """

    def __init__(self, net: nn.Module, layers: Iterable[str] | None) -> None:
        self.outputs: dict[str, Tensor] = {}
        self._size: tuple[int, int] | None = None  # of the images; None for other inputs
        self._handles = [net.register_forward_pre_hook(self._note_size)]
        self._handles += [
            module.register_forward_hook(self._hook(name)) for name, module in choose_layers(net, layers).items()
        ]

    def _note_size(self, module: nn.Module, inputs: Any) -> None:
        x = inputs[0] if inputs else None
        self._size = (x.shape[2], x.shape[3]) if isinstance(x, Tensor) and x.ndim == 4 else None

    def _hook(self, name: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            output = output[0] if isinstance(output, (tuple, list)) and output else output
            if not isinstance(output, Tensor):
                return
            if self._size is not None and not isinstance(module, (nn.Conv1d, nn.Conv2d)):
                arranged = arrange_maps(output, self._size)
                output = output if arranged is None else arranged[0]
            self.outputs[name] = output.detach()

        return keep

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()
