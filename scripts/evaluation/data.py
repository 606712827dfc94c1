"""The data that a checkpoint is evaluated on: its own, or another file or folder."""

import inspect
from argparse import ArgumentError
from typing import NamedTuple

from lightfit.datamodules import DataError, DataModule
from lightfit.datamodules.base import Batches
from lightfit.errors import UsageError

from ..cli.lightning_parser import LightningArgumentParser
from ..cli.parsing import explain, unwrap
from ..inference.trained import Trained

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
    held = trained.checkpoint["datamodule_hyper_parameters"]
    # Only what was typed is parsed: the parser imports what a value names, and the checkpoint's are not the user's.
    parser = LightningArgumentParser(exit_on_error=False, allow_abbrev=False)
    data_class = type(trained.data)
    parser.add_class_arguments(data_class, "data", fail_untyped=False)
    parser.set_defaults({f"data.{data_class.source_argument}": held.get(data_class.source_argument)})
    words = [word.replace("--data.init_args.", "--data.") for word in args]
    try:
        typed = parser.parse_args(words).as_dict().get("data", {})
        given = {name: value for name, value in typed.items() if name in _named(words)}
        changed = {name for name, value in given.items() if value != held.get(name)}
        changes = {name: given[name] for name in changed}
        return type(trained.data).from_checkpoint(trained.checkpoint, trust=trained.trust, changes=changes), changed
    except (ArgumentError, TypeError, ValueError) as error:
        cause = unwrap(error)
        if isinstance(cause, (DataError, LookupError)):
            raise cause from None
        raise UsageError(
            explain(str(cause), [f"data.{name}" for name in inspect.signature(data_class).parameters])
        ) from error


def _named(words: list[str]) -> set[str]:
    return {word.partition("=")[0].removeprefix("--data.").partition(".")[0] for word in words if word.startswith("--")}
