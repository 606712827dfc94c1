"""LightFit's classes given without their module on the command line, such as `--data TextDataModule`."""

import importlib
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PACKAGES = ("lightfit.datamodules", "lightfit.lightning_modules", "lightfit.nets", "lightfit.callbacks")


def import_named(args: Iterable[str]) -> None:
    """Import the public classes that the command line names: the parser resolves only short names of loaded classes.

    Args:
        args: the command line; its YAML files are searched too, and if it asks for help, all classes are imported.
    """
    args = list(args)
    words = set(re.findall(r"\w+", " ".join(args)))
    for item in args:
        path = Path(item.partition("=")[2] or item)
        if path.suffix in (".yaml", ".yml"):
            with suppress(OSError, UnicodeDecodeError):  # the parser reports the error
                words |= set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    import_all = any("help" in item for item in args if item.startswith("--"))
    for package in map(importlib.import_module, PACKAGES):
        for name in package.__all__:
            if import_all or name in words:
                getattr(package, name)
