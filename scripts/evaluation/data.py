"""The data to evaluate a checkpoint on: that of the training, or another source."""

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

SPLITS = ("test", "val")  # the default split is the first one that exists
# Arguments of DataModules that do not change which samples a split has.
HARMLESS = {"batch_size", "num_workers", "cache_bytes", "on_error", "bucket"}


class ChosenSplit(NamedTuple):
    """A split to evaluate on.

    Args:
        name: name of the split in the DataModule.
        title: name of the split in reports: `all` if the source has no splits.
        source: source of the data.
        data: the DataModule, set up.
    """

    name: str
    title: str
    source: str
    data: DataModule

    @property
    def batches(self) -> Batches:
        """Return the samples of the split."""
        return self.data.loaded.batches[self.name]


def choose_split(trained: Trained, args: list[str], split: str | None) -> ChosenSplit:
    """Choose the split to evaluate on, and read its data.

    On the source of the training, the splits are those of the training. On another source, they are the splits of that
    source, or all of it if it has none, encoded by the codec of the checkpoint.

    Args:
        trained: the checkpoint.
        args: arguments `--data.*` that replace those of the training.
        split: test or val; None: test if there is one, else val, or all.

    Raises:
        UsageError: an argument is invalid or may not change, or the split does not exist.
        DataError: the data has changed since the training, or does not fit the codec.
    """
    data, changed = build_data(trained, args)
    register_flags(find_flags(data=type(data)))
    other = data.source_argument in changed
    allowed = {data.source_argument, *data.reading_arguments} if other else HARMLESS
    if refused := sorted(changed - allowed):
        elsewhere = "" if other else f", or evaluate on other data by --data.{data.source_argument}"
        raise UsageError(
            f"--data.{refused[0]} must be as in training: only {', '.join(sorted(allowed))} may change; "
            f"leave it out{elsewhere}"
        )
    splits = data.load_splits() if other else _load_own(data)
    name = split or next((name for name in SPLITS if name in splits), next(iter(splits)))
    if split and split not in splits:
        if len(splits) > 1 or {"val", "test"} & set(splits):
            raise UsageError(
                f"'{data.source}' has no {split} split, only {', '.join(splits)}: set --split to one of them"
            )
        name = next(iter(splits))  # data without splits has one, with all samples
    return ChosenSplit(name, "all" if name == "train" else name, data.source, data)


def _load_own(data: DataModule) -> Mapping[str, Batches]:
    try:
        data.setup()
    except ChangedDataError as error:
        raise ChangedDataError(
            f"'{data.source}' is no longer what the model was trained on, so the split may contain training samples: "
            f"restore the data, or evaluate on other data by --data.{data.source_argument}"
        ) from error
    return {split: batches for split, batches in data.loaded.batches.items() if split != "train"}


def build_data(trained: Trained, args: list[str]) -> tuple[DataModule, set[str]]:
    """Build the DataModule of a checkpoint, with its codec, and return it with the names of the changed arguments.

    Args:
        trained: the checkpoint.
        args: arguments `--data.*` that replace those of the training.

    Raises:
        UsageError: the DataModule does not have an argument, or refuses its value.
    """
    held = trained.data_arguments
    own = DataModule.from_checkpoint(trained.checkpoint, trust=trained.trust)
    if not args:
        return own, set()
    data_class = type(own)
    # Only the command line is parsed, since the parser imports what values name, and a checkpoint is not trusted.
    parser = LightningArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_class_arguments(data_class, "data", fail_untyped=False)
    parser.set_defaults({f"data.{data_class.source_argument}": held.get(data_class.source_argument)})
    words = [word.replace("--data.init_args.", "--data.") for word in args]
    try:
        typed = parser.parse_args(words).as_dict().get("data", {})
        given = {name: value for name, value in typed.items() if name in _list_names(words)}
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


def _list_names(words: list[str]) -> set[str]:
    return {word.partition("=")[0].removeprefix("--data.").partition(".")[0] for word in words if word.startswith("--")}
