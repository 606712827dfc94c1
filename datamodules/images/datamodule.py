"""Labelled images as batches of pixels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from ..base import DATA_DIR, DataModule
from ..codec import Codec
from ..labels import check_classes, check_names, find_classes, number_classes, weigh_classes
from ..samples import Loaded
from ..splits import SPLITS, hold_out, rows_by_split
from .batches import ImageBatches, SingleBatches, StackedBatches
from .codec import ImageCodec
from .sources import ImageSet, locate, read_set, source_path
from .store import DecodedImages, num_processors
from .transforms import ImageTransforms, Size, choose_size

CLASSES_SHOWN, SKIPPED_SHOWN = 12, 20


class Division(NamedTuple):
    """The images of each split, and the classes."""

    rows: dict[str, NDArray[np.int64]]  # indices of the images of train, val and test
    labels: NDArray[np.int64]  # class of every image, -1 for those that are left out
    names: list[str]  # of the classes

    @property
    def used(self) -> NDArray[np.int64]:
        """Return the indices of the images of all splits."""
        return np.concatenate(list(self.rows.values()))


def divide(
    found: ImageSet, classes: list[str] | None, *, val_fraction: float, fold: str | None = None, seed: int
) -> Division:
    """Divide images into train, val and test; where there is no val, a stratified fraction of train is held out.

    Args:
        found: the images.
        classes: names of the classes to keep; None keeps all.
        val_fraction: fraction of train that becomes val.
        fold: as in `stratified_fold`, of all images but the test split; None for no cross-validation.
        seed: seed of the choice.

    Raises:
        LookupError: a class to keep is not in the data.
        DataError: there are fewer than two classes, val lacks one, or val or test have one that train lacks.
    """
    label, names, used = _kept(found, classes)
    labels = np.full(len(label), -1)
    labels[used], class_names = number_classes(
        label[used],
        names,
        train=np.flatnonzero(found.parts[used] == SPLITS.index("train")),
        places=lambda: [found.places[row] for row in used],
    )
    rows = {split: used[own] for split, own in rows_by_split(found.parts[used]).items()}
    train, hint = rows["train"] if fold is None else np.union1d(rows["train"], rows["val"]), "add images of it there"
    if fold is not None or not len(rows["val"]):
        kept, held_out = hold_out(
            labels[train], found.groups[train].view(np.int64), val_fraction=val_fraction, fold=fold, seed=seed
        )
        rows["train"], rows["val"] = train[kept], train[held_out]
        hint = "add images of it, increase `val_fraction`, or add a val folder"
    check_classes(labels[rows["val"]], class_names, split="val", hint=hint)
    return Division(rows, labels, class_names)


def divide_known(found: ImageSet, classes: list[str] | None, known: list[str]) -> Division:
    """Divide images into the splits that the source has, with known classes.

    Args:
        found: the images.
        classes: as in `divide`.
        known: names of the classes, in the order of the net's outputs.

    Raises:
        DataError: an image is of another class.
    """
    label, names, used = _kept(found, classes)
    labels = np.full(len(label), -1)
    labels[used] = find_classes(label[used], names, known=known, places=lambda: [found.places[row] for row in used])
    return Division({split: used[own] for split, own in rows_by_split(found.parts[used]).items()}, labels, known)


def _kept(found: ImageSet, classes: list[str] | None) -> tuple[NDArray[np.int64], list[str], NDArray[np.int64]]:
    """Return of each image the index of its label among the names, those names, and the images to keep."""
    label, names = pd.factorize(np.array(found.labels, dtype=object))
    if classes is not None:
        check_names(classes, sorted(names), "classes")
    kept = [index for index, name in enumerate(names) if classes is None or name in classes]
    return label, list(names), np.flatnonzero(np.isin(label, kept))


def describe_images(found: ImageSet, division: Division, size: Size) -> str:
    """Describe what was found: number of images by split and class, their sizes, what was left out."""
    counts = np.bincount(division.labels[division.rows["train"]], minlength=len(division.names)).tolist()
    classes = [f"{name} {count:,}" for name, count in zip(division.names, counts, strict=True)]
    more = [f"and {len(classes) - CLASSES_SHOWN} more"] if len(classes) > CLASSES_SHOWN else []
    sizes = found.sizes[division.used]
    low, high = sizes.min(0).tolist(), sizes.max(0).tolist()
    described = [
        ", ".join(f"{len(rows):,} {split}" for split, rows in division.rows.items() if len(rows)) + " images",
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
    """Return a line for each image that was skipped, with the reason, below one with their number."""
    if not skipped:
        return []
    more = [f"  and {len(skipped) - SKIPPED_SHOWN} more"] if len(skipped) > SKIPPED_SHOWN else []
    return [f"{len(skipped)} images skipped:", *(f"  {line}" for line in skipped[:SKIPPED_SHOWN]), *more]


MAX_WORKERS = 8


class ImageDataModule(DataModule):
    """Images with a class each: x (B, 3, H, W) float32, y (B,) int64.

    Every image is decoded once to check it. Images that fit in memory stay decoded, kept under data/cache until the
    folder changes; others are decoded by workers whenever they are needed.

    Args:
        root: a folder or a zip of <split>/<class>/*.jpg (splits train and perhaps val and test) or <class>/*.jpg, or a
            published set: digits (installed with scikit-learn), cifar10, fashion_mnist (downloaded).
        classes: names of the classes to keep; all if null.
        transforms: size, augmentation and normalisation.
        batch_size: number of images in a batch, on each device.
        val_fraction: fraction of train that becomes val, where there is no val; identical files stay together.
        fold: a fold of a cross-validation, such as 2/5: val is that fold of all but the test split, train the rest.
        class_weights: weight of a class in the loss: none (each sample the same), balanced (each class the same), or
            a weight by class name, 1 where none is given.
        balanced_sampling: draw each class as often as any other in training, with repetition.
        cache_bytes: the most that decoded images may take in memory; small ones (64 pixels) always stay.
        num_workers: number of processes that decode; null: the number of processors, 8 at the most, or none for images
            that stay decoded.
        on_error: what to do with an image that cannot be read: raise, or skip it and list it at the end.
        seed: seed of split, order and augmentation.
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
        super().__init__(root, batch_size=batch_size, val_fraction=val_fraction, fold=fold, seed=seed)
        self.classes = classes
        self.transforms = transforms
        self.class_weights = class_weights
        self.balanced_sampling = balanced_sampling
        self.cache_bytes = cache_bytes
        self.num_workers = num_workers
        self.on_error = on_error

    @property
    def codec(self) -> ImageCodec:
        """Return the codec: fitted by `setup`, or a checkpoint's."""
        codec = super().codec
        assert isinstance(codec, ImageCodec)
        return codec

    def prepare_data(self) -> None:
        """Download the images where they are a published set that is not here yet."""
        locate(self.source, DATA_DIR)

    def read(self, source: str) -> ImageSet:  # type: ignore[override]
        """Read, check and, where they fit in memory, decode all images, from the cache where that is up to date."""
        return read_set(source, DATA_DIR, cache_bytes=self.cache_bytes, on_error=self.on_error)

    def load(self, source: str, codec: Codec | None = None) -> Loaded:
        """Read images, learn size and classes from them, and prepare the batches of each split."""
        found = self.read(source)
        if isinstance(codec, ImageCodec):
            division = divide_known(found, self.classes, codec.class_names)
        else:
            division = divide(found, self.classes, val_fraction=self.val_fraction, fold=self.fold, seed=self.seed)
            codec = self._fit(found, division)
        batches = self._batches(found, division, codec.image_size)
        return Loaded(
            codec,
            batches,
            description=describe_images(found, division, codec.image_size),
            find_places=lambda split: [found.places[row] for row in division.rows[split]],
            skipped=found.skipped,
            **(self._weigh(division) if "train" in batches else {}),
        )

    def _fit(self, found: ImageSet, division: Division) -> ImageCodec:
        places = [found.places[row] for row in division.used]
        return ImageCodec(
            class_names=division.names,
            image_size=choose_size(self.transforms.size, found.sizes[division.used], places),
            border=self.transforms.border,
            mean=self.transforms.mean,
            std=self.transforms.std,
        )

    def _weigh(self, division: Division) -> dict[str, Any]:
        """How the classes count in the loss, and how often each training image is drawn."""
        train = division.labels[division.rows["train"]]
        weights: dict[str, Any] = {"loss_weights": weigh_classes(self.class_weights, train, division.names)}
        if self.balanced_sampling:
            weights["sample_weights"] = torch.from_numpy(1 / np.bincount(train)[train])
        return weights

    def _batches(self, found: ImageSet, division: Division, size: Size) -> dict[str, ImageBatches]:
        """The images of each split that has any; sets how many workers decode them."""
        stacked = found.images.stacked() if isinstance(found.images, DecodedImages) else None
        if self.transforms.train is not None:
            stacked = None  # custom transforms take one image at a time
        self.loader_workers = self._count_workers(stacked is not None)

        def batches(rows: NDArray[np.int64]) -> ImageBatches:
            own: Any = {"transforms": self.transforms, "size": size, "seed": self.seed}
            own |= {"rows": torch.from_numpy(rows), "labels": torch.from_numpy(division.labels[rows])}
            own |= {"num_classes": len(division.names)}
            return SingleBatches(found.images, **own) if stacked is None else StackedBatches(stacked, **own)

        return {split: batches(rows) for split, rows in division.rows.items() if len(rows)}

    def dataloader(self, split: str, *, shuffle: bool | None = None) -> DataLoader:
        """Return the batches of a split, made on the trainer's device where the images are decoded."""
        data = self.loaded.batches.get(split)
        if isinstance(data, StackedBatches) and self.trainer is not None:
            data.place(self.trainer.strategy.root_device)
        return super().dataloader(split, shuffle=shuffle)

    def _count_workers(self, stacked: bool) -> int:
        if self.num_workers is not None:
            return self.num_workers
        return 0 if stacked else min(num_processors(), MAX_WORKERS)

    def raw_path(self) -> Path:
        """Return the file or folder that was read."""
        return source_path(self.source, DATA_DIR)

    def describe(self) -> str:
        """Return source, number of images in each split and class, sizes, and how they are kept, on one line."""
        return f"{super().describe()}; {self.loader_workers} workers"

    def remarks(self, scores: Mapping[str, float]) -> list[str]:
        """Return the images that were skipped."""
        return list_skipped(list(self.loaded.skipped))
