"""Labelled images to batches of pixels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from datamodules.base import DATA_DIR
from datamodules.batches import Batches
from datamodules.image_batches import ImageBatches, SingleBatches, StackedBatches
from datamodules.image_encoding import ImageEncodingDataModule
from datamodules.image_parts import Parts, describe_images, divide, divide_known, example_of, list_skipped
from datamodules.image_sources import ImageSet, locate, read_set, source_path
from datamodules.image_store import DecodedImages, num_processors
from datamodules.image_transforms import ImageTransforms, choose_size
from datamodules.labels import weigh_classes

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
