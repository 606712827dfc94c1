"""Which image belongs to which part and class, and what there is to say of it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datamodules.image_sources import ImageSet
from datamodules.image_store import DecodedImages
from datamodules.image_transforms import Size
from datamodules.labels import check_classes, check_names, find_numbers, number_labels
from datamodules.splits import SPLITS, hold_out, part_rows

CLASSES_SHOWN, SKIPPED_SHOWN = 12, 20


class Parts(NamedTuple):
    """The images of each part, and the classes."""

    rows: dict[str, NDArray[np.int64]]  # numbers of the images of train, val and test
    labels: NDArray[np.int64]  # class of every image, -1 for those that are left out
    names: list[str]  # of the classes

    @property
    def used(self) -> NDArray[np.int64]:
        """Numbers of the images of all parts."""
        return np.concatenate(list(self.rows.values()))


def divide(
    found: ImageSet, classes: list[str] | None, *, val_fraction: float, fold: str | None = None, seed: int
) -> Parts:
    """Train, val and test, with a stratified part of train as val where there is none.

    Args:
        found: the images.
        classes: names of the classes to keep; None keeps all.
        val_fraction: part of train that becomes val.
        fold: as in `stratified_fold`, of all images but the test part; None for no cross-validation.
        seed: seed of the choice.

    Raises:
        LookupError: a class to keep is not in the data.
        DataError: there are fewer than two classes, val lacks one, or val or test have one that train lacks.
    """
    label, names, used = _kept(found, classes)
    labels = np.full(len(label), -1)
    labels[used], class_names = number_labels(
        label[used],
        names,
        train=np.flatnonzero(found.parts[used] == SPLITS.index("train")),
        places=lambda: [found.places[row] for row in used],
    )
    rows = {part: used[own] for part, own in part_rows(found.parts[used]).items()}
    train, hint = rows["train"] if fold is None else np.union1d(rows["train"], rows["val"]), "put images of it there"
    if fold is not None or not len(rows["val"]):
        kept, held_out = hold_out(
            labels[train], found.groups[train].view(np.int64), val_fraction=val_fraction, fold=fold, seed=seed
        )
        rows["train"], rows["val"] = train[kept], train[held_out]
        hint = "bring more images of it, make val_fraction larger, or bring a val folder of your own"
    check_classes(labels[rows["val"]], class_names, part="val", hint=hint)
    return Parts(rows, labels, class_names)


def divide_known(found: ImageSet, classes: list[str] | None, known: list[str]) -> Parts:
    """The parts as they are in the source, with classes that are known.

    Args:
        found: the images.
        classes: as in `divide`.
        known: names of the classes, in the order of their numbers.

    Raises:
        DataError: an image is of another class.
    """
    label, names, used = _kept(found, classes)
    labels = np.full(len(label), -1)
    labels[used] = find_numbers(label[used], names, known=known, places=lambda: [found.places[row] for row in used])
    return Parts({part: used[own] for part, own in part_rows(found.parts[used]).items()}, labels, known)


def _kept(found: ImageSet, classes: list[str] | None) -> tuple[NDArray[np.int64], list[str], NDArray[np.int64]]:
    """Of each image the position of its label among the names, those names, and the images of the classes to keep."""
    label, names = pd.factorize(np.array(found.labels, dtype=object))
    if classes is not None:
        check_names(classes, sorted(names), "--data.classes")
    kept = [number for number, name in enumerate(names) if classes is None or name in classes]
    return label, list(names), np.flatnonzero(np.isin(label, kept))


def describe_images(found: ImageSet, parts: Parts, size: Size) -> str:
    """What was found: number of images by part and class, their sizes, what was left out."""
    counts = np.bincount(parts.labels[parts.rows["train"]], minlength=len(parts.names)).tolist()
    classes = [f"{name} {count:,}" for name, count in zip(parts.names, counts, strict=True)]
    more = [f"and {len(classes) - CLASSES_SHOWN} more"] if len(classes) > CLASSES_SHOWN else []
    sizes = found.sizes[parts.used]
    low, high = sizes.min(0).tolist(), sizes.max(0).tolist()
    described = [
        ", ".join(f"{len(rows):,} {part}" for part, rows in parts.rows.items() if len(rows)) + " images",
        f"{len(classes)} classes in train: {', '.join(classes[:CLASSES_SHOWN] + more)}",
        f"{low[1]} x {low[0]}{f' to {high[1]} x {high[0]}' if low != high else ''} pixels, "
        f"the net gets {size[1]} x {size[0]}",
        "decoded once" if isinstance(found.images, DecodedImages) else "decoded when needed",
    ]
    if found.ignored:
        described.append(f"{len(found.ignored):,} other files ignored, such as {found.ignored[0]}")
    if found.skipped:
        described.append(f"{len(found.skipped):,} images that cannot be read skipped")
    return "; ".join(described)


def list_skipped(skipped: list[str]) -> list[str]:
    """A line for each image that was skipped, with the reason, and one with their number."""
    if not skipped:
        return []
    more = [f"  and {len(skipped) - SKIPPED_SHOWN} more"] if len(skipped) > SKIPPED_SHOWN else []
    return [f"{len(skipped)} images skipped:", *(f"  {line}" for line in skipped[:SKIPPED_SHOWN]), *more]


def example_of(found: ImageSet, root: str) -> str:
    """The path of an image, for a folder of images; else words for one."""
    return str(Path(root) / found.places[-1]) if Path(root).is_dir() else "picture.jpg"
