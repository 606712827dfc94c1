"""An environment that holds torch and pytorch_lightning and what these require: nothing that LightFit adds to it."""

import venv
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

PACKAGES = ("torch", "pytorch-lightning")


def make_bare(folder: Path) -> Path:
    """Make a virtual environment whose packages are links to those of this one; return its Python.

    Links, so that both import the same files, from the same disk and the same cache of the system.

    Args:
        folder: where to make it.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in required(PACKAGES):
        distribution = metadata.distribution(name)
        for top in {str(file).partition("/")[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(str(distribution.locate_file(top)))
    return folder / "bin" / "python"


def required(packages: tuple[str, ...]) -> set[str]:
    """Return the names of packages and of all that they require here, as an installer would find them."""
    extras: dict[str, set[str]] = {}  # by package, those that were asked for
    waiting = [(package, set[str]()) for package in packages]
    while waiting:
        package, asked = waiting.pop()
        name = package.lower().replace("_", "-")
        if name in extras and asked <= extras[name]:
            continue
        extras[name] = extras.get(name, set()) | asked
        for text in metadata.distribution(name).requires or []:
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras[name])):
                waiting.append((needed.name, set(needed.extras)))
    return set(extras)
