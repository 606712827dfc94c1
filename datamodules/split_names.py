"""Names of the splits in files, folders and columns, as people write them."""

import re
from collections.abc import Iterable

from .splits import SPLITS

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "eval"),
    "test": ("test", "testing"),
}
# Words that people write around them, as in seg_train, train_images, training set; and years, as in train2017.
AFFIXES = frozenset(
    ("set", "split", "data", "dataset", "folder", "images", "image", "imgs", "img", "photos", "pictures", "pics", "seg")
)
_BY_NAME = {name: split for split, names in SPLIT_NAMES.items() for name in names}
_GLUED = {f"{name}{word}": split for name, split in _BY_NAME.items() for word in ("set", "data")}
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SEPARATORS = re.compile(r"[\s_\-.]+")
_YEAR = re.compile(r"((?<=[a-z])|\b)(19|20)\d\d\b")


def find_split(name: str, affixes: Iterable[str] = AFFIXES) -> str | None:
    """Return the split `train`, `val` or `test` that a name stands for, in any case; None if it is no such name.

    Args:
        name: the name, such as `Train`, `seg_train`, `validation set` or `train2017`.
        affixes: words that may stand before or after the name of the split.
    """
    if split := _BY_NAME.get(name.strip().casefold()):
        return split
    if len(name) > MAX_CHARS:
        return None
    plain = _YEAR.sub(" ", _CAMEL_CASE.sub(" ", name).casefold().replace("_", " "))
    words = [word for word in _SEPARATORS.split(plain) if word and word not in affixes]
    return _BY_NAME.get(words[0], _GLUED.get(words[0])) if len(words) == 1 else None


MAX_CHARS = 60  # of a name of a split; a cell of a table may be a whole text


def find_splits(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names that stand for each split, in the order train, val, test."""
    found: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name in names:
        if split := find_split(name):
            found[split].append(name)
    return {split: own for split, own in found.items() if own}
