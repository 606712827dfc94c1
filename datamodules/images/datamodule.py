"""The DataModule of labelled images."""

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
from ..findings import list_skipped
from ..labels import balance_samples, check_classes, check_names, find_classes, index_classes, weigh_classes
from ..samples import Loaded
from ..splits import SPLITS, hold_out, rows_by_split
from ..targets import Classes
from .batches import ImageBatches, StackedBatches, batch_images
from .codec import ImageCodec
from .image_set import ImageSet, read_listed
from .options import AUTOMATIC
from .sources import PUBLISHED, list_source, load_published, locate, source_path
from .store import DecodedImages, num_processors
from .transforms import ImageTransforms, Size, choose_size

CLASSES_SHOWN = 12


class Division(NamedTuple):
    """The images of each split, and the classes."""

    rows: dict[str, NDArray[np.int64]]  # indices of the images of train, val and test
    labels: NDArray[np.int64]  # class index of each image, -1 if the image is left out
    names: list[str]  # names of the classes

    @property
    def used(self) -> NDArray[np.int64]:
        """Return the indices of the images in any split."""
        return np.concatenate(list(self.rows.values()))


def divide(
    found: ImageSet, classes: list[str] | None, *, val_fraction: float, fold: str | None = None, seed: int
) -> Division:
    """Divide images into train, val and test; without a val split, hold out a stratified fraction of train.

    Args:
        found: the images.
        classes: names of the classes to keep; None: all.
        val_fraction: fraction of train to hold out as val.
        fold: fold of a cross-validation over all images outside the test split, as in `stratified_fold`; None: no
            cross-validation.
        seed: seed of the random split.

    Raises:
        LookupError: a class to keep is not in the data.
        DataError: there are fewer than two classes, a class is missing in val, or val or test have a class that is
            missing in train.
    """
    label, names, used = _select(found, classes)
    labels = np.full(len(label), -1)
    labels[used], class_names = index_classes(
        label[used],
        names,
        train=np.flatnonzero(found.splits[used] == SPLITS.index("train")),
        places=lambda: [found.places[row] for row in used],
    )
    rows = {split: used[own] for split, own in rows_by_split(found.splits[used]).items()}
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
    """Divide images into the splits of their source, with known classes.

    Args:
        found: the images.
        classes: as in `divide`.
        known: names of the classes, in the order of the net's outputs.

    Raises:
        DataError: an image has another class.
    """
    label, names, used = _select(found, classes)
    labels = np.full(len(label), -1)
    labels[used] = find_classes(label[used], names, known=known, places=lambda: [found.places[row] for row in used])
    return Division({split: used[own] for split, own in rows_by_split(found.splits[used]).items()}, labels, known)


def _select(found: ImageSet, classes: list[str] | None) -> tuple[NDArray[np.int64], list[str], NDArray[np.int64]]:
    """Return the label of each image as an index, the names of the labels, and the indices of the images to keep."""
    label, names = pd.factorize(np.array(found.labels, dtype=object))
    if classes is not None:
        check_names(classes, sorted(names), "classes")
    kept = [index for index, name in enumerate(names) if classes is None or name in classes]
    return label, list(names), np.flatnonzero(np.isin(label, kept))


def describe_images(found: ImageSet, division: Division, size: Size) -> str:
    """Return a summary of the images: number by split and class, sizes, and files left out."""
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
        described.append(f"{len(found.ignored):,} other files ignored, such as {found.ignored[0].name}")
    if found.skipped:
        described.append(f"{len(found.skipped):,} images that cannot be read skipped")
    return "; ".join(described)


MAX_WORKERS = 8


class ImageDataModule(DataModule):
    """Images for classification: x (B, 3, H, W) float32, y (B,) int64.

    Each image is decoded once to check it, and kept under data/cache until the folder changes: photographs at twice the
    size to which evaluation resizes them. Images beyond `cache_bytes` are decoded by worker processes, each time they
    are needed.

    Args:
        root: a folder or zip of <split>/<class>/*.jpg (splits train, and optionally val and test) or <class>/*.jpg, or
            a published set: digits (installed with scikit-learn), cifar10, fashion_mnist (downloaded).
        classes: names of the classes to keep; null: all.
        transforms: size, augmentation and normalisation.
        batch_size: number of images in a batch, on each device.
        val_fraction: fraction of train to hold out as val, if there is no val split; identical files stay together.
        fold: a fold of a cross-validation, such as 2/5: val is that fold of all samples outside the test split, train
            the rest.
        class_weights: weights of the classes in the loss: none (all samples equal), balanced (all classes equal), or
            weights by class name, 1 for the classes left out.
        balanced_sampling: draw all classes equally often in training, with replacement.
        cache_bytes: largest number of bytes of decoded images to keep on disk, at most half of what is free there, from
            where they are mapped into memory; small images (64 pixels) always are kept.
        num_workers: number of worker processes that decode; null: the number of processors, at most 8, or none if the
            images are kept decoded.
        on_error: what to do with an image that cannot be read: raise, or skip it and list it at the end.
        seed: seed of the split, the order and the augmentation.
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
        cache_bytes: int = 2**34,
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
        """Return the codec, fitted by `setup` or loaded from a checkpoint."""
        codec = super().codec
        assert isinstance(codec, ImageCodec)
        return codec

    def prepare_data(self) -> None:
        """Download the images if they are a published set that is not there yet."""
        locate(self.source, DATA_DIR)

    def read(self, source: str) -> ImageSet:  # type: ignore[override]
        """Read and check all images; decode them if they fit in memory. Uses the cache if it is up to date."""
        if source in PUBLISHED:
            return load_published(source, DATA_DIR)
        listing = list_source(Path(source), AUTOMATIC)
        return read_listed(
            listing,
            Path(source),
            DATA_DIR,
            cache_bytes=self.cache_bytes,
            on_error=self.on_error,
            side=self.transforms.kept_side,
        )

    def load(self, source: str, codec: Codec | None = None) -> Loaded:
        """Read the images, fit the codec, and prepare the batches of each split."""
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
            skipped=list(found.skipped),
            **(self._weigh(division) if "train" in batches else {}),
        )

    def _fit(self, found: ImageSet, division: Division) -> ImageCodec:
        places = [found.places[row] for row in division.used]
        mean, std = self.transforms.choose_colours(3)
        return ImageCodec(
            target=Classes(division.names),
            image_size=choose_size(self.transforms.size, found.sizes[division.used], places),
            border=self.transforms.border,
            mean=mean,
            std=std,
        )

    def _weigh(self, division: Division) -> dict[str, Any]:
        """Return the weights of the classes in the loss, and the sampling weights of the training images."""
        train = division.labels[division.rows["train"]]
        weights: dict[str, Any] = {"loss_weights": weigh_classes(self.class_weights, train, division.names)}
        if self.balanced_sampling:
            weights["sample_weights"] = torch.from_numpy(balance_samples(train))
        return weights

    def _batches(self, found: ImageSet, division: Division, size: Size) -> dict[str, ImageBatches]:
        """Return the batches of each split that is not empty; set the number of workers."""

        def batches(rows: NDArray[np.int64]) -> ImageBatches:
            own: Any = {"transforms": self.transforms, "size": size, "seed": self.seed}
            own |= {"rows": torch.from_numpy(rows), "labels": torch.from_numpy(division.labels[rows])}
            own |= {"num_classes": len(division.names)}
            return batch_images(found.images, **own)

        found_batches = {split: batches(rows) for split, rows in division.rows.items() if len(rows)}
        stacked = all(isinstance(own, StackedBatches) for own in found_batches.values())
        self.loader_workers = self._count_workers(stacked)
        return found_batches

    def dataloader(self, split: str, *, shuffle: bool | None = None) -> DataLoader:
        """Return the batches of a split; decoded images of one size are augmented on the trainer's device."""
        data = self.loaded.batches.get(split)
        if isinstance(data, StackedBatches) and self.trainer is not None:
            data.place(self.trainer.strategy.root_device)
        return super().dataloader(split, shuffle=shuffle)

    def _count_workers(self, stacked: bool) -> int:
        if self.num_workers is not None:
            return self.num_workers
        return 0 if stacked else min(num_processors(), MAX_WORKERS)

    def raw_path(self) -> Path:
        """Return the file or folder of the raw images."""
        return source_path(self.source, DATA_DIR)

    def describe(self) -> str:
        """Return a summary on one line: source, number of images by split and class, sizes, decoding."""
        return f"{super().describe()}; {self.loader_workers} workers"

    def remarks(self, scores: Mapping[str, float]) -> list[str]:
        """Return the skipped images."""
        return list_skipped(self.loaded.skipped, "images")
