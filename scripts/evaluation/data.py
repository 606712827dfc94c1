"""The data that a checkpoint is evaluated on: its own, or another file or folder."""

import inspect
from argparse import ArgumentError
from collections.abc import Mapping
from typing import NamedTuple

from lightfit.datamodules import DataModule
from lightfit.datamodules.samples import Batches
from lightfit.errors import ChangedDataError, DataError, UsageError

from ..cli.arguments import find_flags, register_flags
from ..cli.lightning_parser import LightningArgumentParser
from ..cli.parsing import explain, unwrap
from ..inference.trained import Trained

SPLITS = ("test", "val")  # in the order in which they are taken where none is asked for
# Arguments of data that change how it is read, not which samples a split has.
HARMLESS = {"batch_size", "num_workers", "cache_bytes", "on_error", "bucket"}


class ChosenSplit(NamedTuple):
    """A split to evaluate on.

    Args:
        name: of the split among those that were read.
        title: what to call it: `all` where the source has no splits.
        source: where it comes from.
        data: the DataModule that has read it.
    """

    name: str
    title: str
    source: str
    data: DataModule

    @property
    def batches(self) -> Batches:
        """Return its samples."""
        return self.data.loaded.batches[self.name]


def choose_split(trained: Trained, args: list[str], split: str | None) -> ChosenSplit:
    """Return the split that is asked for.

    Without another source, the splits are those of the training, made again from the data; with one, those that the
    source has, or all of it where it has none, encoded by the checkpoint's codec.

    Args:
        trained: the checkpoint.
        args: `--data.*` arguments that differ from the training's.
        split: test or val; None: test where there is one, else val, or all.

    Raises:
        UsageError: the arguments do not parse, there is no such split, or they would move training samples into it.
        DataError: the data is not what it was in training, or does not fit the codec.
    """
    data, changed = build_data(trained, args)
    register_flags(find_flags(data=type(data)))
    other = data.source_argument in changed
    allowed = {data.source_argument, *data.reading_arguments} if other else HARMLESS
    if refused := sorted(changed - allowed):
        elsewhere = "" if other else f", or evaluate on other data by --data.{data.source_argument}"
        raise UsageError(
            f"--data.{refused[0]} is what the model was trained with: only {', '.join(sorted(allowed))} may differ; "
            f"leave it out{elsewhere}"
        )
    splits = data.load_splits() if other else _load_own(data)
    name = split or next((name for name in SPLITS if name in splits), next(iter(splits)))
    if split and split not in splits:
        if len(splits) > 1 or {"val", "test"} & set(splits):
            raise UsageError(
                f"'{data.source}' has no {split} split, only {', '.join(splits)}: choose --split among them"
            )
        name = next(iter(splits))  # of data without splits, all
    return ChosenSplit(name, "all" if name == "train" else name, data.source, data)


def _load_own(data: DataModule) -> Mapping[str, Batches]:
    try:
        data.setup()
    except ChangedDataError as error:
        raise ChangedDataError(
            f"'{data.source}' is no longer what the model was trained on, so the split could hold training samples: "
            f"evaluate on other data by --data.{data.source_argument}"
        ) from error
    return {split: batches for split, batches in data.loaded.batches.items() if split != "train"}


def build_data(trained: Trained, args: list[str]) -> tuple[DataModule, set[str]]:
    """Return the checkpoint's DataModule with other arguments and its codec, and the names of those that differ.

    Raises:
        UsageError: an argument is not one of the DataModule's, or is refused by it.
    """
    held = trained.data_arguments
    data_class = type(DataModule.from_checkpoint(trained.checkpoint, trust=trained.trust))
    # Only what was typed is parsed: the parser imports what a value names, and the checkpoint's are not the user's.
    parser = LightningArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_class_arguments(data_class, "data", fail_untyped=False)
    parser.set_defaults({f"data.{data_class.source_argument}": held.get(data_class.source_argument)})
    words = [word.replace("--data.init_args.", "--data.") for word in args]
    try:
        typed = parser.parse_args(words).as_dict().get("data", {})
        given = {name: value for name, value in typed.items() if name in _named(words)}
        changed = {name for name, value in given.items() if value != held.get(name)}
        changes = {name: given[name] for name in changed}
        return data_class.from_checkpoint(trained.checkpoint, trust=trained.trust, changes=changes), changed
    except (ArgumentError, TypeError, ValueError) as error:
        cause = unwrap(error)
        if isinstance(cause, (DataError, LookupError)):
            raise cause from None
        raise UsageError(
            explain(str(cause), [f"data.{name}" for name in inspect.signature(data_class).parameters])
        ) from error


def _named(words: list[str]) -> set[str]:
    return {word.partition("=")[0].removeprefix("--data.").partition(".")[0] for word in words if word.startswith("--")}
