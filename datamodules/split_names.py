"""Names of the splits in files, folders and columns, as people write them."""

from collections.abc import Iterable

from .splits import SPLITS

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "eval"),
    "test": ("test", "testing"),
}
_BY_NAME = {name: split for split, names in SPLIT_NAMES.items() for name in names}


def find_split(name: str) -> str | None:
    """Return the split `train`, `val` or `test` that a name stands for, in any case; None if it is no such name."""
    return _BY_NAME.get(name.strip().casefold())


def find_splits(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names that stand for each split, in the order train, val, test."""
    found: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name in names:
        if split := find_split(name):
            found[split].append(name)
    return {split: own for split, own in found.items() if own}
