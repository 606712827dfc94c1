"""Which Lightning: `pytorch_lightning` or `lightning.pytorch`.

The two packages hold the same code under two names, and a Trainer of the one refuses the classes of the other. LightFit
takes one of them for the whole process when its first class is imported:

1. the one that `use_lightning(name)` or the environment variable LIGHTFIT_LIGHTNING names;
2. else the only one that is installed;
3. else the one that the program names: the files that are importing, from the innermost to the script itself, are
   searched for `import pytorch_lightning` or `from lightning...`, wherever in the file that stands;
4. else the only one that is imported already, or `pytorch_lightning`, which comes with LightFit.
"""

import importlib
import importlib.util
import linecache
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from lightfit.errors import MixedLightningError, UsageError

if TYPE_CHECKING:
    import pytorch_lightning as pl

__all__ = ["OneLightning", "import_submodule", "pl", "use_lightning"]

NAMES = ("pytorch_lightning", "lightning.pytorch")
VARIABLE = "LIGHTFIT_LIGHTNING"
IMPORTS = re.compile(r"^\s*(?:import|from)\s+(pytorch_lightning|lightning)\b", re.MULTILINE)
_asked: str | None = None  # by use_lightning


def use_lightning(name: str) -> None:
    """Take `pytorch_lightning` or `lightning.pytorch`; call it before the first class of LightFit is imported.

    Raises:
        UsageError: it is neither of the two, or the other one was taken already.
    """
    global _asked
    _asked = _checked(name, "use_lightning")
    if "pl" in globals() and globals()["pl"].__name__ != _asked:
        raise UsageError(
            f"LightFit's classes are built on {globals()['pl'].__name__} already: call use_lightning('{_asked}') "
            f"before the first import from lightfit, or set {VARIABLE}={_asked}"
        )


def __getattr__(name: str) -> Any:
    if name != "pl":
        raise AttributeError(f"module 'lightfit.lightning' has no attribute '{name}'")
    globals()["pl"] = importlib.import_module(_choose())
    return globals()["pl"]


def import_submodule(name: str) -> Any:
    """Import a module of the chosen Lightning by its name below it, such as `utilities.memory`."""
    return importlib.import_module(f"{importlib.import_module('lightfit.lightning').pl.__name__}.{name}")


def _choose() -> str:
    if _asked is not None:
        return _asked
    if os.environ.get(VARIABLE):
        return _checked(os.environ[VARIABLE], VARIABLE)
    installed = [name for name in NAMES if importlib.util.find_spec(name.partition(".")[0]) is not None]
    if len(installed) == 1:
        return installed[0]
    for _, named in _files_above():
        if len(named) == 1:
            return named[0]
    imported = [name for name in NAMES if name in sys.modules]
    return imported[0] if len(imported) == 1 else NAMES[0]


def _checked(name: str, place: str) -> str:
    name = "lightning.pytorch" if name == "lightning" else name
    if name not in NAMES:
        raise UsageError(f"expected {place} as {' or '.join(NAMES)}, received '{name}'")
    return name


def _files_above() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the callers' files but LightFit's own, innermost first, and which Lightning each imports."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not module.startswith(("lightfit", "importlib")):
            yield frame.f_code.co_filename, _named_in(frame.f_code.co_filename)
        frame = frame.f_back


@cache
def _named_in(file: str) -> tuple[str, ...]:
    found = set(IMPORTS.findall("".join(linecache.getlines(file))))
    return tuple(name for name in NAMES if name.partition(".")[0] in found)


class OneLightning:
    """A class of Lightning's kind that is made only where its own Lightning is used.

    Raises:
        MixedLightningError: the file that makes it imports the other one, whose Trainer would refuse it.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Look at the callers; the first one that imports either Lightning decides."""
        chosen = importlib.import_module("lightfit.lightning").pl.__name__
        other = next(name for name in NAMES if name != chosen)
        if other in sys.modules:
            file, named = next(((file, named) for file, named in _files_above() if named), ("", (chosen,)))
            if chosen not in named:
                raise MixedLightningError(
                    f"{cls.__name__} is built on {chosen}, and '{file}' uses {other}: a Trainer of the one refuses the "
                    f"classes of the other. Say which one, before the first import from lightfit: "
                    f"`import lightfit; lightfit.use_lightning('{other}')`, or by the environment variable "
                    f"{VARIABLE}={other}"
                )
        return super().__new__(cls)
