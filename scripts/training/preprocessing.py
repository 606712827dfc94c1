"""Size and normalisation of images as the pretrained weights of a net expect them."""

from collections.abc import Callable, Collection
from typing import Any

from jsonargparse import Namespace

from lightfit.trust import import_name

PLAIN_BORDER = 256 / 224  # of `ImageTransforms`, where `resize` is null


def adopt_preprocessing(config: Any, given: Collection[str], say: Callable[[str], None]) -> None:
    """Set the transforms that the user did not set to those with which the pretrained weights were trained.

    Args:
        config: the configuration of a LightningCLI, which is changed.
        given: dotted keys that the user set, as `list_given`.
        say: prints a line.
    """
    model, data = (getattr(config, section).get("init_args") or Namespace() for section in ("model", "data"))
    net, transforms, finetune = model.get("net"), data.get("transforms"), model.get("finetune")
    if not (isinstance(net, Namespace) and isinstance(transforms, Namespace) and isinstance(finetune, Namespace)):
        return
    find = getattr(import_name(net.class_path), "find_preprocessing", None)
    name = net.get("init_args", Namespace()).get("name")
    found = find(name, finetune.get("weights")) if find is not None and isinstance(name, str) else None
    if not found or "data.transforms" in given:
        return
    wanted: dict[str, Any] = {field: found[field] for field in ("size", "interpolation") if field in found}
    if data.get("channels") in (None, 3):
        wanted |= {field: list(found[field]) for field in ("mean", "std") if field in found}
    size = transforms.get("size") if "data.transforms.size" in given else wanted.get("size", transforms.get("size"))
    border = found.get("border", PLAIN_BORDER)
    if isinstance(size, int) and round(size * border) != round(size * PLAIN_BORDER):
        wanted["resize"] = round(size * border)
    held = vars(transforms)  # a newer field may not be there
    changed = {
        field: value
        for field, value in wanted.items()
        if field in held and f"data.transforms.{field}" not in given and _listed(held[field]) != value
    }
    for field, value in changed.items():
        transforms[field] = value
    if changed:
        listed = ", ".join(f"{field} {value}" for field, value in changed.items())
        say(f"images are prepared as the weights of {name} expect them: {listed}")


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
