"""A digest of the code on which the result of a function depends."""

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


def digest_code(function: Callable[..., Any], module: ModuleType) -> str:
    """Return a digest of a function's source, its module, and all modules that this imports, directly or indirectly.

    The digest covers the content of modules and the versions of installed packages, but not the standard library, nor
    the imports of modules of LightFit. It does not depend on the location of the files.

    Args:
        function: the function.
        module: the module in which it was found, which may import it from another one.
    """
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):  # not written in Python, or defined interactively
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
            waiting += [place for imported in _find_imports(content, package) for place in _find_modules(imported)]
    return hashlib.sha256(repr((source, sorted(found.items()))).encode()).hexdigest()[:16]


def _is_installed(path: Path) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(path.parts)


def _is_standard(path: Path) -> bool:
    # Installed packages may be in a subfolder of the standard library.
    return not _is_installed(path) and any(path.is_relative_to(folder) for folder in STANDARD)


@cache
def _version(top: str) -> str:
    """Return the versions of the distributions that provide an installed package."""
    try:
        return metadata.version(top)
    except metadata.PackageNotFoundError:  # the distribution has another name, as PyYAML for yaml
        names = sorted(set(metadata.packages_distributions().get(top, [])))
        return ", ".join(f"{name} {metadata.version(name)}" for name in names)


def _find_imports(content: bytes, package: str) -> Iterator[str]:
    """Yield the full names in the import statements of a module, also within functions; some may not be modules."""
    try:
        nodes = list(ast.walk(ast.parse(content)))
    except SyntaxError:  # in a module that may never be imported
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            try:
                start = resolve_name("." * node.level + (node.module or ""), package or None)
            except ImportError:  # a relative import beyond the package
                continue
            yield from (f"{start}.{alias.name}" for alias in node.names)


def _find_modules(name: str) -> Iterator[tuple[str, str, Path]]:
    """Yield name, package and file of a module and of its parent packages, as far as they exist, without importing."""
    path: Any = None
    names = name.split(".")
    for end in range(1, len(names) + 1):
        spec = _find_spec(".".join(names[:end]), path)
        if spec is None:
            return
        if spec.origin is not None and Path(spec.origin).is_file():
            yield spec.name, spec.parent or "", Path(spec.origin).resolve()
        path = spec.submodule_search_locations
        if path is None:
            return


def _find_spec(name: str, path: Any) -> ModuleSpec | None:
    loaded: ModuleSpec | None = getattr(sys.modules.get(name), "__spec__", None)
    if loaded is not None:
        return loaded
    try:
        found = (finder.find_spec(name, path) for finder in sys.meta_path)
        return next((spec for spec in found if spec is not None), None)
    except (ImportError, KeyError):  # KeyError: a namespace package within a package that is not imported
        return None
