"""Functions that build nets, named where the command line expects a class."""

import inspect
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from lightfit.errors import UsageError
from lightfit.trust import import_name

from ..cli.keys import read_configs

FLAGS = tuple(f"model{middle}.net{end}" for middle in ("", ".init_args") for end in ("", ".class_path"))


def allow_functions(args: list[str]) -> None:
    """Annotate the functions that a command line names as nets: the parser calls one if it says what it returns.

    Args:
        args: the command line.

    Raises:
        UsageError: the function is one that cannot be told the number of classes.
    """
    for path in _find_nets(args):
        if path == "timm.create_model":
            raise UsageError(
                "timm.create_model does not say which arguments it takes: expected --model.net TimmNet "
                "--model.net.name NAME, which calls it"
            )
        try:
            found = import_name(path)
        except (ImportError, ValueError):
            continue  # a short name of a class, or an unknown one, which the parser reports
        if inspect.isfunction(found):
            found.__annotations__.setdefault("return", nn.Module)
            for name in inspect.signature(found).parameters:
                found.__annotations__.setdefault(name, Any)


def _find_nets(args: list[str]) -> Iterator[str]:
    """Yield the dotted paths of nets in a command line and in its YAML files."""
    for word, following in zip(args, [*args[1:], ""], strict=True):
        name, given, value = word.removeprefix("--").partition("=")
        if word.startswith("--") and name in FLAGS and "." in (path := value if given else following):
            yield path
    for config in read_configs(args):
        model = config.get("model")
        own = model.get("init_args", model) if isinstance(model, Mapping) else {}
        net = own.get("net") if isinstance(own, Mapping) else None
        named = net.get("class_path") if isinstance(net, Mapping) else net
        if isinstance(named, str) and "." in named:
            yield named


def list_parameters(target: Any) -> dict[str, inspect.Parameter]:
    """List the parameters of a class, or of a function with those of the class that it passes its own kwargs on to."""
    taken = dict(inspect.signature(target).parameters)
    if not inspect.isfunction(target) or all(item.kind is not item.VAR_KEYWORD for item in taken.values()):
        return taken
    try:
        returned = typing.get_type_hints(target).get("return")
    except (NameError, TypeError):
        return taken
    if isinstance(returned, type) and returned is not nn.Module:
        taken = dict(inspect.signature(returned).parameters) | taken
    return {name: item for name, item in taken.items() if item.kind is not item.VAR_KEYWORD}
