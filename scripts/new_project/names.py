"""Names of a new project: its folder, its distribution and its package."""

import importlib.metadata
import importlib.util
import keyword
import re
import sys
import unicodedata
from pathlib import Path
from typing import NamedTuple

from lightfit.errors import UsageError

# Folders and modules of the project beside the package, which it would hide or be hidden by.
TAKEN = ("data", "make_data", "notebooks", "runs", "tasks", "test", "tests")


class ProjectNames(NamedTuple):
    """What a project is called, for pip and for `import`."""

    distribution: str  # such as my-project
    package: str  # such as my_project


def choose_names(folder: Path, package: str | None = None) -> ProjectNames:
    """Choose the names of a project from its folder's name: lower case, accents dropped, other characters as `_`.

    Args:
        folder: the folder of the project, which may exist.
        package: the name of the package, where it is given.

    Raises:
        UsageError: no valid name can be made, or the name belongs to something that is installed.
    """
    source = folder.name if package is None else package
    plain = unicodedata.normalize("NFKD", source)
    letters = "".join(char for char in plain if not unicodedata.combining(char)).lower()
    foreign = [char for char in letters if char.isalnum() and not char.isascii()]
    name = re.sub(r"[^a-z0-9]+", "_", letters).strip("_")
    if foreign or not name:
        _refuse(source, "is no name for a package, which takes the letters a to z, digits and _", package)
    if not name.isidentifier():
        _refuse(source, "begins with a digit, which no name in Python does", package)
    if keyword.iskeyword(name):
        _refuse(source, "is a keyword of Python", package)
    if name in TAKEN:
        _refuse(source, f"would be in the way of the project's own '{name}'", package)
    names = ProjectNames(name.replace("_", "-"), name)
    if (found := _find_installed(names, folder.resolve())) is not None:
        _refuse(source, f"is the name of {found}, which the package would hide", package)
    return names


def _refuse(source: str, problem: str, package: str | None) -> None:
    remedy = "give another name" if package is not None else "give another NAME, or --package NAME for the package"
    raise UsageError(f"'{source}' {problem}: {remedy}, such as my_project")


def _find_installed(names: ProjectNames, folder: Path) -> str | None:
    """Return what is installed under the names, other than this project and folders of the working directory."""
    if names.package in sys.stdlib_module_names:
        return f"the module '{names.package}' of Python"
    spec = importlib.util.find_spec(names.package)
    if spec is not None:
        places = [Path(place).resolve() for place in (spec.submodule_search_locations or [spec.origin or ""])]
        if any(not place.is_relative_to(folder) and place.parent != Path.cwd() for place in places):
            return f"the installed package '{names.package}'"
        return None
    try:
        importlib.metadata.distribution(names.distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    return f"the installed distribution '{names.distribution}'"
