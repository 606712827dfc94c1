"""Labelled images to batches of pixels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from ..base import DATA_DIR, Batches
from ..labels import check_classes, check_names, find_numbers, number_labels, weigh_classes
from ..splits import SPLITS, hold_out, part_rows
from .batches import ImageBatches, SingleBatches, StackedBatches
from .codec import ImageEncodingDataModule
from .sources import ImageSet, locate, read_set, source_path
from .store import DecodedImages, num_processors
from .transforms import ImageTransforms, Size, choose_size

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


MAX_WORKERS = 8


class ImageDataModule(ImageEncodingDataModule):
    """Images with a class each: x (B, 3, H, W) float32, y (B,) int64.

    Every image is decoded once to check it. Images that fit in memory stay decoded, kept under data/cache until the
    folder changes; others are decoded by workers whenever they are needed.

    Args:
        root: a folder or a zip of <split>/<class>/*.jpg (splits train and perhaps val and test) or <class>/*.jpg, or a
            published set: digits (installed with scikit-learn), cifar10, fashion_mnist (downloaded).
        classes: names of the classes to keep; all if null.
        transforms: size, augmentation and normalisation.
        batch_size: number of images in a batch, on each device.
        val_fraction: part of train that becomes val, where there is no val; identical files stay together.
        fold: a fold of a cross-validation, such as 2/5: val is that part of all but the test part, train the rest;
            fit.py --folds runs them all.
        class_weights: what an error counts, by class: none (each sample the same), balanced (each class the same), or
            a weight by class name, 1 where none is given.
        balanced_sampling: draw each class as often as any other in training, with repetition.
        cache_bytes: the most that decoded images may take in memory; small ones (64 pixels) always stay.
        num_workers: number of processes that decode; null: the number of processors, 8 at the most, or none for images
            that stay decoded.
        on_error: what to do with an image that cannot be read: raise, or skip it and list it at the end.
        seed: seed of split, order and augmentation; the command line sets it from --seed_everything.
    """

    augments = True
    source_argument = "root"
    reading_arguments = ("classes", "cache_bytes", "num_workers", "on_error", "batch_size")

    def __init__(
        self,
        root: str,
        *,
        classes: list[str] | None = None,
        transforms: ImageTransforms = ImageTransforms(),
        batch_size: int = 32,
        val_fraction: float = 0.2,
        fold: str | None = None,
        class_weights: Literal["none", "balanced"] | dict[str, float] = "none",
        balanced_sampling: bool = False,
        cache_bytes: int = 2**30,
        num_workers: int | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed)
        self.root = root
        self.classes = classes
        self.transforms = transforms
        self.val_fraction = val_fraction
        self.fold = fold
        self.class_weights = class_weights
        self.balanced_sampling = balanced_sampling
        self.cache_bytes = cache_bytes
        self.num_workers = num_workers
        self.on_error = on_error

    def prepare_data(self) -> None:
        """Downloads the images where they are a published set that is not here yet."""
        locate(self.root, DATA_DIR)

    def _read(self) -> None:
        found = read_set(self.root, DATA_DIR, cache_bytes=self.cache_bytes, on_error=self.on_error)
        parts = divide(found, self.classes, val_fraction=self.val_fraction, fold=self.fold, seed=self.seed)
        self._size = choose_size(
            self.transforms.size, found.sizes[parts.used], [found.places[row] for row in parts.used]
        )
        self._class_names = parts.names
        batches = self._batches(found, parts)
        self.train_data, self.val_data, self.test_data = batches["train"], batches["val"], batches.get("test")
        train = parts.labels[parts.rows["train"]]
        self.loss_weights = weigh_classes(self.class_weights, train, parts.names)
        if self.balanced_sampling:
            self.sample_weights = torch.from_numpy(1 / np.bincount(train)[train])
        self._found = describe_images(found, parts, self._size)
        self._example = example_of(found, self.root)
        self._skipped = found.skipped
        self._val_places = [found.places[row] for row in parts.rows["val"]]

    def read_parts(self) -> dict[str, Batches]:
        """The parts of the source, each class one of the checkpoint's."""
        found = read_set(self.root, DATA_DIR, cache_bytes=self.cache_bytes, on_error=self.on_error)
        self._skipped = found.skipped
        return {**self._batches(found, divide_known(found, self.classes, self.class_names))}

    def _batches(self, found: ImageSet, parts: Parts) -> dict[str, ImageBatches]:
        """The images of each part that has any; sets how many workers decode them."""
        stacked = found.images.stacked() if isinstance(found.images, DecodedImages) else None
        if self.transforms.train is not None:
            stacked = None  # transforms of one's own take one image at a time
        self.loader_workers = self._count_workers(stacked is not None)

        def batches(rows: NDArray[np.int64]) -> ImageBatches:
            own: Any = {"transforms": self.transforms, "size": self.image_size, "seed": self.seed}
            own |= {"rows": torch.from_numpy(rows), "labels": torch.from_numpy(parts.labels[rows])}
            own |= {"num_classes": len(parts.names)}
            return SingleBatches(found.images, **own) if stacked is None else StackedBatches(stacked, **own)

        return {part: batches(rows) for part, rows in parts.rows.items() if len(rows)}

    def _loader(self, data: Batches, *, shuffle: bool) -> DataLoader:
        if isinstance(data, StackedBatches) and self.trainer is not None:
            data.place(self.trainer.strategy.root_device)
        return super()._loader(data, shuffle=shuffle)

    def _count_workers(self, stacked: bool) -> int:
        if self.num_workers is not None:
            return self.num_workers
        return 0 if stacked else min(num_processors(), MAX_WORKERS)

    def val_places(self) -> list[str]:
        """Name of each validation image within the source."""
        return self._val_places

    def raw_path(self) -> Path:
        """The file or folder that was read."""
        return source_path(self.root, DATA_DIR)

    def describe(self) -> str:
        """One line: source, number of images in each part and class, sizes, and how they are kept."""
        return f"{self.root}: {self._found}; {self.loader_workers} workers"

    def remarks(self, scores: Mapping[str, float]) -> list[str]:
        """The images that were skipped."""
        return list_skipped(self._skipped)

    @property
    def example_input(self) -> str:
        """An image of the data, or what a person would type in its place."""
        return self._example
