"""What a net around a pretrained encoder needs of the data: texts as ids of the encoder's own tokenizer."""

import inspect
from collections.abc import Sequence
from typing import Any

from jsonargparse import Namespace

from lightfit.errors import UsageError
from lightfit.trust import import_name


def adopt_encoder(config: Any, args: Sequence[str]) -> None:
    """Set the encoder of the data to that of the net.

    Args:
        config: the configuration of a LightningCLI, which is changed.
        args: the command line.

    Raises:
        UsageError: the data is of another kind, or names another encoder.
    """
    net = (config.model.get("init_args") or Namespace()).get("net")
    cls = import_name(net.class_path) if isinstance(net, Namespace) else None
    argument = getattr(cls, "encoder_argument", None)
    data = config.data.get("init_args") or Namespace()
    if not isinstance(net, Namespace) or argument is None:
        if data.get("encoder") is not None:
            raise UsageError(
                f"--data.encoder {data.encoder} makes ids for that encoder, and the net is another: expected "
                "--task finetune_text, or --model.net TransformerNet --model.net.name NAME, which sets it"
            )
        return
    source = import_name(config.data.class_path)
    if "encoder" not in inspect.signature(source).parameters:
        return  # a custom DataModule, which makes the ids itself
    named = (net.get("init_args") or Namespace()).get(argument)
    given = any(item.split("=")[0] in ("--data.encoder", "--data.init_args.encoder") for item in args)
    if given and data.get("encoder") != named:
        raise UsageError(
            f"--data.encoder comes from --model.net.{argument}, which is '{named}': leave it out, received "
            f"'{data.get('encoder')}'"
        )
    data["encoder"] = named
    config.data["init_args"] = data
