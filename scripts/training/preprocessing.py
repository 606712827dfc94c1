"""Size and normalisation of images as the pretrained weights of a net expect them."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from jsonargparse import Namespace

from lightfit.trust import import_name

PLAIN_BORDER = 256 / 224  # of `ImageTransforms`, where `resize` is null


class Adopted(NamedTuple):
    """Transforms that were set to those of the weights.

    Args:
        line: names them; "" where there are none.
        former: their values before, by name.
    """

    line: str
    former: dict[str, Any]


def adopt_preprocessing(config: Any, given: Collection[str]) -> Adopted:
    """Set the transforms that the user did not set to those with which the pretrained weights were trained.

    Args:
        config: the configuration of a LightningCLI, which is changed.
        given: dotted keys that the user set, as `list_given`.

    Returns:
        What was changed; nothing where the weights are unknown.
    """
    model, data = (getattr(config, section).get("init_args") or Namespace() for section in ("model", "data"))
    net, transforms, finetune = model.get("net"), data.get("transforms"), model.get("finetune")
    if not (isinstance(net, Namespace) and isinstance(transforms, Namespace) and isinstance(finetune, Namespace)):
        return Adopted("", {})
    find = getattr(import_name(net.class_path), "find_preprocessing", None)
    name = net.get("init_args", Namespace()).get("name")
    found = find(name, finetune.get("weights")) if find is not None and isinstance(name, str) else None
    if not found or "data.transforms" in given:
        return Adopted("", {})
    wanted: dict[str, Any] = {field: found[field] for field in ("size", "interpolation") if field in found}
    if data.get("channels") in (None, 3):
        wanted |= {field: list(found[field]) for field in ("mean", "std") if field in found}
    size = transforms.get("size") if "data.transforms.size" in given else wanted.get("size", transforms.get("size"))
    border = found.get("border", PLAIN_BORDER)
    # A border is for crop: who pads or squishes wants whole images.
    crops = transforms.get("resize") in (None, "crop") or isinstance(transforms.get("resize"), int)
    if crops and isinstance(size, int) and round(size * border) != round(size * PLAIN_BORDER):
        wanted["resize"] = round(size * border)
    held = vars(transforms)  # a custom class may lack one
    changed = {
        field: value
        for field, value in wanted.items()
        if field in held and f"data.transforms.{field}" not in given and _listed(held[field]) != value
    }
    former = {field: held[field] for field in changed}
    for field, value in changed.items():
        transforms[field] = value
    listed = ", ".join(f"{field} {value}" for field, value in changed.items())
    line = f"images are prepared as the weights of {name} expect them: {listed}" if changed else ""
    return Adopted(line, former)


def restore_preprocessing(transforms: Any, former: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Set the transforms that were adopted to those of the checkpoint that a run resumes from.

    An earlier version may have adopted none, or fewer.

    Args:
        transforms: those of the configuration, which are changed.
        former: what the adopted ones were, as in `Adopted`, for those that the checkpoint does not hold.
        saved: hyper-parameters of the checkpoint's DataModule.
    """
    held = saved.get("transforms")
    for field, before in former.items():
        transforms[field] = held.get(field, before) if isinstance(held, Mapping) else before


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
