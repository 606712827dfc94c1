"""The code that a function's result depends on, as a digest."""

import ast
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache
from importlib import metadata
from importlib.machinery import ModuleSpec
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType
from typing import Any

STANDARD = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))


def code_digest(function: Callable[..., Any], module: ModuleType) -> str:
    """Return a digest of a function's source, of its module's file and of all that this imports, directly or not.

    Modules count by the content of their files, installed packages by their version, the standard library not at all,
    and a module of LightFit without what it imports. Where the files lie makes no difference.

    Args:
        function: the function.
        module: where it was found, which may have it from another module.
    """
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):  # not written in Python, or in a session that keeps no source
        source = ""
    found: dict[str, str] = {}
    starts = {start.__name__: start for start in (module, inspect.getmodule(function)) if start is not None}
    waiting = [
        (name, start.__package__ or "", Path(file).resolve())
        for name, start in starts.items()
        if (file := getattr(start, "__file__", None)) and Path(file).is_file()
    ]
    while waiting:
        name, package, path = waiting.pop()
        top = name.partition(".")[0]
        if name in found or _is_standard(path):
            continue
        ours = top == "lightfit"
        if not ours and _is_installed(path):
            found[top] = _version(top)
            continue
        content = path.read_bytes()
        found[name] = hashlib.sha256(content).hexdigest()
        if not ours and path.suffix == ".py":
            waiting += [place for imported in _imports(content, package) for place in _places(imported)]
    return hashlib.sha256(repr((source, sorted(found.items()))).encode()).hexdigest()[:16]


def _is_installed(path: Path) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(path.parts)


def _is_standard(path: Path) -> bool:
    # Installed packages may lie in the standard library's folder.
    return not _is_installed(path) and any(path.is_relative_to(folder) for folder in STANDARD)


@cache
def _version(top: str) -> str:
    """The versions of the distributions that an installed package is of."""
    try:
        return metadata.version(top)
    except metadata.PackageNotFoundError:  # under another name, as yaml is PyYAML
        names = sorted(set(metadata.packages_distributions().get(top, [])))
        return ", ".join(f"{name} {metadata.version(name)}" for name in names)


def _imports(content: bytes, package: str) -> Iterator[str]:
    """Full names in a module's import statements, those within functions too; some may be no modules."""
    try:
        nodes = list(ast.walk(ast.parse(content)))
    except SyntaxError:  # a module that is imported later, or never
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            try:
                start = resolve_name("." * node.level + (node.module or ""), package or None)
            except ImportError:  # a relative import that leaves its package
                continue
            yield from (f"{start}.{alias.name}" for alias in node.names)


def _places(name: str) -> Iterator[tuple[str, str, Path]]:
    """Name, package and file of a module and of the packages it is in, as far as there are any; nothing is imported."""
    path: Any = None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        spec = _spec(".".join(parts[:end]), path)
        if spec is None:
            return
        if spec.origin is not None and Path(spec.origin).is_file():
            yield spec.name, spec.parent or "", Path(spec.origin).resolve()
        path = spec.submodule_search_locations
        if path is None:
            return


def _spec(name: str, path: Any) -> ModuleSpec | None:
    loaded: ModuleSpec | None = getattr(sys.modules.get(name), "__spec__", None)
    if loaded is not None:
        return loaded
    try:
        found = (finder.find_spec(name, path) for finder in sys.meta_path)
        return next((spec for spec in found if spec is not None), None)
    except (ImportError, KeyError):  # KeyError: a folder without __init__.py in another that is not imported
        return None
