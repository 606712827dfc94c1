"""Where a net looked when it was wrong: Grad-CAM, by captum."""

import copy
from contextlib import suppress
from typing import Any

import torch
from matplotlib import colormaps
from torch import Tensor, nn

from lightfit.extras import importing_extra
from lightfit.lightning import OneLightning, pl

from .confusion import get_scores, has_classes
from .guard import split_batch, watch
from .layers import arrange_maps, choose_layers, find_blocks, is_transformer
from .most_wrong import describe_wrong, find_wrong
from .plots import Plot, check_every, get_net, image_grid, is_epoch_due, publish
from .protocols import class_names, pictures


def grad_cam(net: nn.Module, x: Tensor, target: Tensor, *, layer: str | None = None) -> Tensor:
    """Compute how much each position of the images contributed to a class, (B, H, W) float32 in [0, 1].

    A copy of the net runs, in evaluation mode, so that the net itself and its gradients stay as they are.
    Source: Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2, by captum's LayerGradCam.

    Args:
        net: the net; with one logit, class 1 is what the logit speaks for.
        x: images, (B, C, H, W).
        target: the classes asked about, (B,) int64.
        layer: name of a layer; None for the last Conv2d with maps of more than a pixel, or what the last block of a
            transformer receives, or a head that is a Conv2d, or a block behind which the class does not depend on it.

    Raises:
        ValueError: there is no such layer; the nearest are named.
    """
    with importing_extra("Grad-CAM"):
        from captum.attr import LayerAttribution  # here, as it takes a second that few runs need

    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=[]):
        own, images, classes = copy.deepcopy(net).eval(), x.detach().clone(), target.clone()
        chosen = _layer(own, layer, images[:1])
        # Of a block what it receives, as from its output only the class token may go on; so of a head that is a
        # convolution, whose output is a map of the class alone.
        received = layer is None and (not isinstance(chosen, nn.Conv2d) or chosen is _last(own))
        name = next(name for name, module in own.named_modules() if module is chosen)
        maps = _attribute(own, name, images, classes, received=received)
        blocks = [] if layer is not None or received else list(find_blocks(net))
        if blocks and not maps.any():
            # The class does not depend on the last convolution: that changes tokens which go no further, or the norm
            # behind it begins as zero.
            with suppress(ValueError):  # what the block receives are no maps
                maps = _attribute(copy.deepcopy(net).eval(), blocks[-1], images, classes, received=True)
        # A net that looks at other views too, in a longer batch, has the maps of those behind the others.
        maps = maps[: len(images)].relu()
        maps = LayerAttribution.interpolate(maps, tuple(images.shape[2:]), "bilinear")[:, 0].detach()
    return maps / maps.amax((1, 2), keepdim=True).clamp(min=1e-12)


def _attribute(net: nn.Module, name: str, images: Tensor, classes: Tensor, *, received: bool) -> Tensor:
    """Compute the maps of a layer, (B, 1, h, w), of either sign; the net is left with hooks."""
    with importing_extra("Grad-CAM"):
        from captum.attr import LayerGradCam

    watched = net.get_submodule(name)
    if received or not isinstance(watched, nn.Conv2d):
        probe = nn.Identity()
        _lead_through(watched, probe, images.shape, received=received)
        watched = probe
    return LayerGradCam(lambda batch: _logits(net, batch), watched).attribute(images, target=classes)


def _last(net: nn.Module) -> nn.Module:
    return [module for module in net.modules() if isinstance(module, (nn.Linear, nn.Conv2d))][-1]


def overlay(images: Tensor, maps: Tensor) -> Tensor:
    """Lay the maps over the images: cold where nothing contributed to the class, hot where most did, (B, H, W, 3).

    Args:
        images: colours in [0, 1], (B, H, W, 3).
        maps: (B, H, W) in [0, 1].
    """
    heat = torch.from_numpy(colormaps["jet"](maps.cpu().numpy())[..., :3]).float()
    return 0.55 * images + 0.45 * heat


def _logits(net: nn.Module, x: Tensor) -> Tensor:
    logits = net(x)
    return torch.cat([-logits, logits], 1) if logits.shape[1] == 1 else logits


def _layer(net: nn.Module, name: str | None, x: Tensor | None = None) -> nn.Module:
    """Find a layer by name, or the last one with maps.

    Args:
        net: the net.
        name: its name; None for the last convolution, or for the last block of a transformer.
        x: an image, (1, C, H, W), to find the last convolution whose maps have more than one pixel.

    Raises:
        ValueError: there is none.
    """
    if name is not None:
        return list(choose_layers(net, [name]).values())[-1]
    if is_transformer(net):
        return list(find_blocks(net).values())[-1]
    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    if not layers:
        raise ValueError(f"{type(net).__name__} has no Conv2d for Grad-CAM: name a layer, or leave GradCAM out")
    if x is None:
        return layers[-1]
    wide: list[nn.Module] = []

    def note(module: nn.Module, inputs: Any, output: Tensor) -> None:
        if output.shape[2:].numel() > 1:
            wide.append(module)

    handles = [module.register_forward_hook(note) for module in layers]
    with torch.no_grad():
        net(x)
    for handle in handles:
        handle.remove()
    return next((module for module in reversed(layers) if module in wide), layers[-1])


def _lead_through(layer: nn.Module, probe: nn.Module, shape: torch.Size, *, received: bool) -> None:
    """Lead the maps of a layer through another module, which captum can watch, and back.

    Args:
        layer: the layer.
        probe: receives the maps (B, channels, h, w).
        shape: of the images, (B, C, H, W).
        received: whether the maps are what the layer receives, or what it returns.
    """

    def lead(value: Any) -> Any:
        arranged = arrange_maps(value, (shape[2], shape[3])) if isinstance(value, Tensor) else None
        if arranged is None:
            raise ValueError(f"{type(layer).__name__} has no maps for Grad-CAM: name another layer")
        maps, extra = arranged
        seen = probe(maps)
        if value.ndim == 3:
            return torch.cat([value[:, :extra], seen.flatten(2).transpose(1, 2)], 1)
        return seen if maps is value else seen.permute(0, 2, 3, 1)

    if received:
        layer.register_forward_pre_hook(lambda module, inputs: (lead(inputs[0]), *inputs[1:]))
    else:
        layer.register_forward_hook(
            lambda module, inputs, output: (lead(output[0]), *output[1:]) if isinstance(output, tuple) else lead(output)
        )


@watch
class GradCAM(OneLightning, pl.Callback):
    """Grad-CAM of the validation images that were wrong with the most confidence: what contributed to the wrong class.

    In the loggers and as `grad_cam/epoch_*.png`: each image, and beside it the same with the map over it. Gradients
    need a pass of their own, which a copy of the net makes.

    Args:
        layer: name of a layer; null: chosen as in `grad_cam`. Where there is none, a warning says so once.
        num_images: number of images to show.
        every_n_epochs: the epochs to show; the last one is always shown.
    """

    def __init__(self, layer: str | None = None, *, num_images: int = 8, every_n_epochs: int = 1) -> None:
        if num_images < 1:
            raise ValueError(f"expected num_images of at least 1, received {num_images}")
        self.layer = layer
        self.num_images = num_images
        self.every_n_epochs = check_every(every_n_epochs)
        self._wrong: list[tuple[Tensor, int, int, float]] = []  # image, class, class it was taken for, how surely

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check that there is a layer.

        Raises:
            ValueError: there is none.
        """
        _layer(get_net(pl_module), self.layer)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Clear the images."""
        self._wrong = []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the images that are wrong with the most confidence; none where the labels are sets or numbers."""
        if not is_epoch_due(trainer, self.every_n_epochs) or not has_classes(outputs):
            return
        wrong = find_wrong(*get_scores(outputs)).take(slice(self.num_images))
        images = split_batch(batch)[0][wrong.row]
        labels = zip(wrong.true.tolist(), wrong.predicted.tolist(), wrong.probability.tolist(), strict=True)
        self._wrong.extend((image, *own) for image, own in zip(images, labels, strict=True))
        self._wrong = sorted(self._wrong, key=lambda item: -item[3])[: self.num_images]

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Plot the epoch's."""
        if self._wrong and trainer.is_global_zero:
            publish(trainer, self._draw(trainer, pl_module), "grad_cam", step=trainer.current_epoch)
        self._wrong = []

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Plot:
        x = torch.stack([image for image, _, _, _ in self._wrong])
        label = torch.tensor([label for _, _, label, _ in self._wrong], device=x.device)
        maps = grad_cam(get_net(pl_module), x, label, layer=self.layer)
        images = pictures(trainer, x)
        names = class_names(trainer, int(max(max(true, label) for _, true, label, _ in self._wrong)) + 1)
        titles = [
            title
            for _, true, label, sure in self._wrong
            for title in (describe_wrong(names[true], names[label], sure), f"what led to:\n{names[label]}")
        ]
        pairs = torch.stack([images, overlay(images, maps)], 1).flatten(0, 1)
        return image_grid(pairs, titles)
