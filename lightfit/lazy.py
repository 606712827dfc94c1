"""Public names of a package that are imported where they are first used (PEP 562)."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from lightfit.extras import find_extra, importing_extra


def lazy_names(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package, which import a name's module where the name is first used.

    So text is trained without importing what images need. The package lists the same names in `__all__` and, for tools
    that read types, imports them below `if TYPE_CHECKING`.

    Args:
        package: full name of the package, its `__name__`.
        names: by module, relative to the package (`.text.datamodule`) or absolute, the names that come from it, with
            spaces between them. A name whose packages are not installed raises MissingPackageError, with its extra.
    """
    modules = {name: module for module, own in names.items() for name in own.split()}

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        with importing_extra(name, extra=find_extra(modules[name])):
            value = getattr(importlib.import_module(modules[name], package), name)
        setattr(sys.modules[package], name, value)
        return value

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return get, list_names
