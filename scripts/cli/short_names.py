"""Classes of ours that a command line names without their module, such as `--data TextDataModule`."""

import importlib
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PACKAGES = ("lightfit.datamodules", "lightfit.lightning_modules", "lightfit.nets", "lightfit.callbacks")


def import_named(args: Iterable[str]) -> None:
    """Import the public classes that occur by name, as the parser knows classes without a module once they are loaded.

    Args:
        args: the command line; the YAML files that it names are looked at too; where it asks for help, all are
            imported.
    """
    args = list(args)
    words = set(re.findall(r"\w+", " ".join(args)))
    for item in args:
        path = Path(item.partition("=")[2] or item)
        if path.suffix in (".yaml", ".yml"):
            with suppress(OSError, UnicodeDecodeError):  # the parser says what is wrong with it
                words |= set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    every = any("help" in item for item in args if item.startswith("--"))
    for package in map(importlib.import_module, PACKAGES):
        for name in package.__all__:
            if every or name in words:
                getattr(package, name)
