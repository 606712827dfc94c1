"""Arguments that messages name in backquotes, as the flags of a command.

The classes of LightFit name their arguments, as in "increase `val_fraction`", since they are used in Python as well. A
command that has flags for them registers these, and prints "increase --data.val_fraction".
"""

import dataclasses
import inspect
import re
from collections.abc import Mapping

from .keys import LINKED, SIZES

_flags: dict[str, str] = {}  # of this process's command, by the argument's name


def register_flags(flags: Mapping[str, str]) -> None:
    """Register the flags of this process's command, by the name of the argument."""
    _flags.clear()
    _flags.update(flags)


def find_flags(**classes: type) -> dict[str, str]:
    """Return the flags of the arguments of classes; where two classes share an argument name, the first class wins.

    Args:
        classes: by the section of the command line: `data`, `model`, `net` (of the model).
    """
    flags: dict[str, str] = {}
    for section, cls in classes.items():
        prefix = "--model.net." if section == "net" else f"--{section}."
        for name, parameter in inspect.signature(cls).parameters.items():
            key = prefix.removeprefix("--") + name
            if key in LINKED or (section == "net" and name in SIZES):
                continue  # not settable by the user
            flags.setdefault(name, prefix + name)
            if dataclasses.is_dataclass(parameter.default):
                for field in dataclasses.fields(parameter.default):
                    flags.setdefault(f"{name}.{field.name}", f"{prefix}{name}.{field.name}")
    return flags


def name_flags(message: str) -> str:
    """Return a message in which arguments in backquotes are replaced by their registered flags."""
    return re.sub(r"`([\w.]+)`", lambda match: _find_flag(match[1]) or match[0], message)


def _find_flag(name: str) -> str | None:
    return f"--{name}" if name.startswith("trainer.") and _flags else _flags.get(name)
