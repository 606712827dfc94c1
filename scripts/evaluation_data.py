"""The data that a checkpoint is evaluated on: its own, or another file or folder."""

import inspect
import json
from argparse import ArgumentError
from typing import Any, NamedTuple

from pytorch_lightning.cli import LightningArgumentParser

from datamodules import DataError, DataModule
from datamodules.batches import Batches
from scripts.errors import UsageError
from scripts.keys import flat
from scripts.parsing import explain, spell_nulls, unwrap
from scripts.trained import Trained

SPLITS = ("test", "val")  # in the order in which they are taken where none is asked for
# Arguments of data that change how it is read, not which samples a part has.
HARMLESS = {"batch_size", "num_workers", "cache_bytes", "on_error", "bucket"}


class Part(NamedTuple):
    """A part to evaluate on: its name, where it comes from, and the data whose test part it now is."""

    name: str
    source: str
    data: DataModule


def choose_part(trained: Trained, args: list[str], split: str | None) -> Part:
    """The part that is asked for.

    Without another source, the parts are those that training had, made again from the data; with one, those that the
    source has, or all of it where it has none, encoded by what the checkpoint knows.

    Args:
        trained: the checkpoint.
        args: `--data.*` arguments that differ from the training's.
        split: test or val; None: test where there is one, else val, or all.

    Raises:
        UsageError: the arguments do not parse, there is no such part, or they would move samples of the training into
            the part.
        DataError: the data is not what it was in training, or does not fit what the checkpoint knows.
    """
    data, changed = data_with(trained, args)
    source = str(getattr(data, data.source_argument))
    other = data.source_argument in changed
    allowed = {data.source_argument, *data.reading_arguments} if other else HARMLESS
    if refused := sorted(changed - allowed):
        elsewhere = "" if other else f", or evaluate on other data by --data.{data.source_argument}"
        raise UsageError(
            f"--data.{refused[0]} is what the model was trained with: only {', '.join(sorted(allowed))} may differ; "
            f"leave it out{elsewhere}"
        )
    parts = data.read_parts() if other else _own_parts(data, source)
    name = split or next((name for name in SPLITS if name in parts), next(iter(parts)))
    if split and split not in parts:
        if len(parts) > 1 or {"val", "test"} & set(parts):
            raise UsageError(f"'{source}' has no part {split}, only {', '.join(parts)}: choose --split among them")
        name = next(iter(parts))  # of data without parts, all
    data.test_on(parts[name])
    return Part("all" if name == "train" else name, source, data)


def _own_parts(data: DataModule, source: str) -> dict[str, Batches]:
    known = data.state_dict()
    data.setup()
    if data.state_dict() != known:
        raise DataError(
            f"'{source}' is no longer what the model was trained on, so that samples of the training might be among "
            f"those to evaluate on: evaluate on other data by --data.{data.source_argument}"
        )
    return {"val": data.val_data} | ({} if data.test_data is None else {"test": data.test_data})


def data_with(trained: Trained, args: list[str]) -> tuple[DataModule, set[str]]:
    """The checkpoint's data with other arguments, knowing what the checkpoint does, and the names of those that differ.

    Raises:
        UsageError: an argument is not one of the data's, or is refused by it.
    """
    held = dict(trained.checkpoint["datamodule_hyper_parameters"])
    config = {"class_path": held.pop("_class_path"), "init_args": held}
    held.pop("_instantiator", None)
    parser = LightningArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_lightning_class_args(DataModule, "data", subclass_mode=True)
    own = f"--data={json.dumps(config)}"
    try:
        chosen = parser.parse_args([own, *spell_nulls(args)])
        data: Any = parser.instantiate_classes(chosen).data
    except (ArgumentError, TypeError, ValueError) as error:
        cause = unwrap(error)
        if isinstance(cause, (DataError, LookupError)):
            raise cause from None
        raise UsageError(explain(str(cause), inspect.signature(type(trained.data)).parameters)) from error
    data.load_state_dict(trained.checkpoint[type(data).__qualname__])
    before, after = (flat(parsed.data.init_args.as_dict()) for parsed in (parser.parse_args([own]), chosen))
    return data, {name.split(".")[0] for name in before | after if before.get(name) != after.get(name)}
