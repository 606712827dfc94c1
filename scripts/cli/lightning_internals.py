"""Private names of Lightning and argparse that the commands use; `tests/test_internals.py` checks that they exist.

Each function uses one of them: what for, and what breaks without it.
"""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from lightfit.lightning import import_submodule


def take_next_version(logger: Any) -> None:
    """Have a TensorBoardLogger write into the next `version_N` that does not exist.

    Purpose: two runs that start at the same time, and have both chosen the same number. The public `version` chooses
    once. Without `_version` and `_get_next_version` the second of them fails.
    """
    logger._version = logger._get_next_version()


def list_destinations(parser: ArgumentParser) -> list[str]:
    """Return the names of all arguments of a parser.

    Purpose: to suggest the nearest one where a name is unknown. Without `ArgumentParser._actions` such a typo ends with
    another error.
    """
    return [action.dest for action in parser._actions]


def dump_config(cli: Any) -> None:
    """Store the configuration of a LightningCLI as plain data, `config_dump`.

    Purpose: to compare a resumed run's values with its checkpoint's, and to have a place for linked sizes, before
    classes are built. LightningCLI does it itself, later. Without `_dump_config` fit fails before it trains.
    """
    cli._dump_config()


def make_instantiator(cli: Any, key: str) -> Callable[..., Any]:
    """Return the function with which a LightningCLI builds its model or its data, from a class and arguments.

    Purpose: to choose the model's class when the data is read, which is before the model is built and after the
    configuration is parsed; the function then stores the class and the arguments as hyper-parameters. Without
    `_InstantiatorFn` fit fails before it trains.

    Args:
        cli: the LightningCLI.
        key: `model` or `data`.
    """
    return import_submodule("cli")._InstantiatorFn(cli=cli, key=key)
