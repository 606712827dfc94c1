"""Codecs of checkpoints of format 1, in which a DataModule stored what it had learned apart from its arguments."""

from collections.abc import Mapping
from typing import Any

from lightfit.errors import CheckpointError

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "size": 224, "resize": None}  # the defaults
TOKENIZER = "lightfit.datamodules.text.tokenize"


def upgrade_codec(name: str, hparams: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a codec in the format of today.

    Args:
        name: the DataModule's class, for the message.
        hparams: its arguments.
        state: what it had learned.

    Raises:
        CheckpointError: it is of a custom DataModule, whose state only its own class could read.
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
        f"the checkpoint's data is of {name or 'a custom DataModule'} without a codec: expected one whose DataModule "
        "defines read() and fit_codec(), as since checkpoints of format 2; train again with it"
    )
