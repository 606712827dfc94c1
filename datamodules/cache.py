"""Arrays prepared once and kept on disk."""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def cached(folder: Path, name: str, key: Any, build: Callable[[], Arrays]) -> Arrays:
    """The arrays that `build` makes, from disk where they were made for the same key before.

    Args:
        folder: where the files are; any of them may be deleted at any time.
        name: beginning of the file's name.
        key: plain data that the arrays depend on; another key is another file.
        build: makes the arrays, by name.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"{name}-{digest}.npz"
    try:
        with path.open("rb") as old, np.load(old, allow_pickle=False) as kept:
            return dict(kept)
    except (FileNotFoundError, zipfile.BadZipFile, ValueError, EOFError):
        arrays = build()
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as new:
            np.savez(new, **arrays)  # type: ignore[arg-type]
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return arrays


def to_json(strings: list[str]) -> NDArray[np.uint8]:
    """Strings as an array, JSON in UTF-8; arrays are all that is cached."""
    return np.frombuffer(json.dumps(strings).encode(), np.uint8)


def from_json(array: NDArray[np.uint8]) -> list[str]:
    """The strings of an array that `to_json` made."""
    return json.loads(array.tobytes())


def fingerprint(path: Path) -> list[tuple[str, int, int]]:
    """(name, size in bytes, time of change in ns) of a file, or of every file below a folder."""
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    return [(str(file), (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files]
