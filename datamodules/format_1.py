"""Conversion of codecs from checkpoint format 1, where DataModules stored their fitted state themselves."""

from collections.abc import Mapping
from typing import Any

from lightfit.errors import CheckpointError

# The default transforms of format 1.
IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "size": 224, "resize": None}
TOKENIZER = "lightfit.datamodules.text.tokenize"


def upgrade_codec(name: str, hparams: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the state of a DataModule from format 1 to a codec in the current format.

    Args:
        name: name of the DataModule's class, for the message.
        hparams: its arguments.
        state: its fitted state.

    Raises:
        CheckpointError: the DataModule is a custom one, whose state only its own class could read.
    """
    if {"vocabulary", "class_names"} <= set(state):
        arguments = {
            "tokenizer": hparams.get("tokenizer", TOKENIZER),
            "max_len": hparams.get("max_len", 200),
            "bucket": hparams.get("bucket", False),
        }
        return {"class_path": "lightfit.TextCodec", "state": {**state, **arguments}}
    if {"class_names", "image_size"} <= set(state):
        transforms = IMAGENET | dict(hparams.get("transforms") or {})
        size, resize = transforms["size"], transforms["resize"]
        border = (resize or round(size * 256 / 224)) / size if isinstance(size, int) else 1.0
        own = {"border": border, "mean": list(transforms["mean"]), "std": list(transforms["std"])}
        return {"class_path": "lightfit.ImageCodec", "state": {**state, **own}}
    if {"roles", "lookback", "horizon"} <= set(state):
        arguments = {"fill": hparams.get("fill", "error"), "diff": hparams.get("diff", 0)}
        return {"class_path": "lightfit.SeriesCodec", "state": {**state, **arguments}}
    raise CheckpointError(
        f"the checkpoint's DataModule, {name or 'a custom one'}, has no codec: expected a DataModule that defines "
        "read() and fit_codec(), as from checkpoint format 2 on; define them, and train again"
    )
