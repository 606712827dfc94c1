"""The DataModule of labelled images."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from lightfit.errors import UsageError
from lightfit.platforms import count_processors

from ..base import DATA_DIR, DataModule
from ..codec import Codec
from ..division import Division, divide, find_in_division, weigh
from ..examples import Example, choose_rows
from ..findings import (
    Findings,
    find_in_labels,
    list_classes,
    list_skipped,
)
from ..label_kinds import Labels
from ..labelling import Rows
from ..labels import check_names
from ..samples import Loaded
from ..splits import rows_by_split
from ..tables.options import TableOptions
from ..targets import Classes, LabelSets, Numbers, name_label
from .batches import ImageBatches, StackedBatches, batch_images
from .codec import ImageCodec
from .findings import choose_examples, find_in_images
from .image_set import ImageSet, read_listed, with_form
from .layouts.options import ImageOptions
from .pixels.intensity import fit_intensity
from .pixels.pixel_format import MAX_PIXELS, PixelFormat
from .reducing import SMALL
from .small_files import compress
from .sources import PUBLISHED, list_source, load_published, locate, source_path
from .store import DecodedImages
from .transforms import ImageTransforms, Size, choose_size

MAX_WORKERS = 8
NEW_IN_FORMATS = ("form", "resize", "interpolation", "kept_side")  # settings that older codecs lack


class ImageDataModule(DataModule):
    """Images with labels: x (B, C, H, W) float32, y (B,) int64, or (B, K) float32 for sets of labels and numbers.

    Each image is decoded once to check it, and kept under data/cache until the folder changes: photographs at two and a
    half times the size to which evaluation resizes them. Images beyond `cache_bytes` are decoded by worker processes,
    each time they are needed.

    Args:
        root: a folder or archive of <split>/<class>/*.jpg (splits train, and optionally val and test) or
            <class>/*.jpg; a table of paths and labels (CSV, JSON, Parquet, Excel, ...); a Hugging Face data set; or a
            published set: digits (installed with scikit-learn), cifar10, fashion_mnist (downloaded).
        classes: names of the classes to keep; null: all.
        labels: what the labels are: auto (recognised), classes, multi_label (sets of labels), or numbers (to predict).
        path_column: column of the paths in a table: its name, or its position from 0; null: found.
        label_column: column of the labels, likewise; several, with commas between them, are numbers, or 0 and 1 for
            each label.
        group_column: column of what must not be divided between train and val, such as the patient.
        image_dir: folder of the images that a table names; null: found beside the table.
        label_from: regular expression that is searched in the path of an image; its first group, or else the whole
            match, is the label.
        class_level: which folder of a path names the class: 1 for the first one below the split, -1 for the last one;
            null: the first one.
        transforms: size, augmentation and normalisation.
        channels: number of channels of the pixels: 3 for colour, 1 for grey, or as many as the files have.
        max_pixels: largest number of pixels of an image; a larger one is an error.
        batch_size: number of images in a batch, on each device.
        val_fraction: fraction of train to hold out as val, if there is no val split; identical files stay together.
        fold: a fold of a cross-validation, such as 2/5: val is that fold of all samples outside the test split, train
            the rest.
        sheet: sheet of a workbook: its name or position; null: the only one.
        delimiter: character between the fields of a table; null: found.
        quote: character around fields, or none; null: found.
        encoding: encoding of the table, such as gb18030; null: found.
        header: whether the first row of a table holds names; null: found.
        class_weights: weights of the classes in the loss: none (all samples equal), balanced (all classes equal), or
            weights by class name, 1 for the classes left out.
        balanced_sampling: draw all classes equally often in training, with replacement.
        cache_bytes: largest number of bytes of decoded images to keep on disk, at most half of what is free there, from
            where they are mapped into memory; small images (64 pixels) always are kept.
        num_workers: number of worker processes that decode; null: the number of processors, at most 8, or none if the
            images are kept decoded.
        on_error: what to do with an image that cannot be read or has no label: raise, or skip it and list it at the
            end.
        on_duplicate: what to do with identical images: keep and report them, or drop those of train that repeat
            another one, that have another label too, or that are in val or test, and those of val that are in test.
        seed: seed of the split, the order and the augmentation.
    """

    augments = True
    source_argument = "root"
    reading_arguments = (
        *("classes", "path_column", "label_column", "group_column", "image_dir", "label_from", "class_level"),
        *("sheet", "delimiter", "quote", "encoding", "header"),
        *("cache_bytes", "num_workers", "on_error", "on_duplicate", "batch_size"),
    )

    def __init__(
        self,
        root: str,
        *,
        classes: list[str] | None = None,
        labels: Literal["auto", "classes", "multi_label", "numbers"] = "auto",
        path_column: int | str | None = None,
        label_column: int | str | None = None,
        group_column: int | str | None = None,
        image_dir: str | None = None,
        label_from: str | None = None,
        class_level: int | None = None,
        transforms: ImageTransforms = ImageTransforms(),
        channels: int = 3,
        max_pixels: int = MAX_PIXELS,
        batch_size: int = 32,
        val_fraction: float = 0.2,
        fold: str | None = None,
        sheet: int | str | None = None,
        delimiter: str | None = None,
        quote: str | None = None,
        encoding: str | None = None,
        header: bool | None = None,
        class_weights: Literal["none", "balanced"] | dict[str, float] = "none",
        balanced_sampling: bool = False,
        cache_bytes: int = 2**34,
        num_workers: int | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        on_duplicate: Literal["keep", "drop"] = "keep",
        seed: int = 0,
    ) -> None:
        super().__init__(root, batch_size=batch_size, val_fraction=val_fraction, fold=fold, seed=seed)
        for name, value in (("channels", channels), ("max_pixels", max_pixels)):
            if value < 1:
                raise ValueError(f"expected `{name}` of at least 1, received {value}")
        self.classes = classes
        self.labels = labels
        self.options = ImageOptions(
            path_column=path_column,
            label_column=label_column,
            group_column=group_column,
            image_dir=image_dir,
            label_from=label_from,
            class_level=class_level,
            table=TableOptions(
                sheet=sheet, delimiter=delimiter, quote=quote, encoding=encoding, header=header, on_error=on_error
            ),
        )
        self.transforms = transforms
        self.form = PixelFormat(channels=channels, background=transforms.background, max_pixels=max_pixels)
        self.class_weights = class_weights
        self.balanced_sampling = balanced_sampling
        self.cache_bytes = cache_bytes
        self.num_workers = num_workers
        self.on_error = on_error
        self.on_duplicate = on_duplicate

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
        listing = list_source(Path(source), self.options, data_dir=DATA_DIR)
        return read_listed(
            listing,
            Path(source),
            DATA_DIR,
            cache_bytes=self.cache_bytes,
            on_error=self.on_error,
            form=self.form if self._kept is None else self._kept.form,
            side=self.transforms.kept_side if self._kept is None else self._kept.kept_side,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the codec from a checkpoint; if it held no format of pixels, the images are read again as it read them.

        Raises:
            DataError: the data has changed since the checkpoint was written.
            CheckpointError: the codec cannot be built.
        """
        read = self._loaded is not None
        if "form" not in state_dict.get("codec", {}).get("state", {}):
            self._loaded = self._codec = None
        super().load_state_dict(state_dict)
        if read:
            self.setup()

    @property
    def _kept(self) -> ImageCodec | None:
        """Return the codec by whose format of pixels images are read, if it is not to be fitted.

        It is that of another run, or of a checkpoint that held no format: its images stay what they were.
        """
        held = self._codec
        if not isinstance(held, ImageCodec) or (self._adopted is None and held.form.background is not None):
            return None
        return held

    def load(self, source: str, codec: Codec | None = None) -> Loaded:
        """Read the images, fit the codec, and prepare the batches of each split."""
        found = self.read(source)
        held = codec or self._adopted
        known = held if isinstance(held, ImageCodec) else None
        division = self._divide(found, known, held_out=codec is None)
        fitted = known or self._fit(found, division)
        found = with_form(found, fitted.form)
        batches = self._batches(found, division, fitted)
        skipped = [*found.skipped, *(f"{place}: no label" for place in division.missing)]
        return Loaded(
            fitted,
            batches,
            description=describe_images(found, division, fitted.image_size),
            find_places=lambda split: [found.places[row] for row in division.rows[split]],
            skipped=skipped,
            findings=self._find(found, division, skipped),
            **(self._weigh(division) if "train" in batches else {}),
        )

    def _divide(self, found: ImageSet, known: ImageCodec | None, *, held_out: bool) -> Division:
        label, raw = factorize_labels(found.labels)
        return divide(
            raw,
            label,
            rows_by_split(found.splits),
            groups=found.groups.view(np.int64),
            owners=found.owners,
            kind="names" if self.labels == "auto" and not found.cells else self.labels,
            known=None if known is None else known.target,
            held_out=held_out,
            skip=self.on_error == "skip",
            drop="all" if self.on_duplicate == "drop" else "nothing",
            val_fraction=self.val_fraction,
            fold=self.fold,
            seed=self.seed,
            places=lambda: list(found.places),
            select=lambda labels, rows: self._keep_classes(labels, label, rows),
        )

    def _keep_classes(self, labels: Labels, label: NDArray[np.int64], rows: Rows) -> Rows:
        """Return the images of the classes that are to be kept."""
        if self.classes is None:
            return rows
        if labels.kind != "classes":
            raise UsageError("`classes` keeps some of several classes, and the labels are none: leave it out")
        check_names(self.classes, sorted({str(name) for name in labels.meanings}), "classes")
        kept = np.array([name in self.classes for name in labels.meanings])[label]
        return {split: own[kept[own]] for split, own in rows.items()}

    def _fit(self, found: ImageSet, division: Division) -> ImageCodec:
        places = [found.places[row] for row in division.used]
        mean, std = self.transforms.choose_colours(self.form.channels)
        fitted = ImageCodec(
            target=division.target,
            image_size=choose_size(self.transforms.size, found.sizes[division.used], places),
            border=self.transforms.border,
            mean=mean,
            std=std,
            form=replace(self.form, intensity=self._fit_intensity(found, division)),
            resize=self.transforms.mode,
            interpolation=self.transforms.interpolation,
            kept_side=self.transforms.kept_side,
        )
        if self._kept is None:
            return fitted
        return replace(fitted, **{name: getattr(self._kept, name) for name in NEW_IN_FORMATS})

    def _fit_intensity(self, found: ImageSet, division: Division) -> dict[str, tuple[float, float]]:
        """Return the values that become black and white, from the training images of more than 8 bits."""
        if found.values is None:
            return {}
        values, types = found.values, found.value_types
        rows = [row for row in division.rows["train"].tolist() if types[row] is not None]
        return fit_intensity((str(types[row]), *values[row].tolist()) for row in rows)

    def _weigh(self, division: Division) -> dict[str, Any]:
        """Return the weights of the classes in the loss, and the sampling weights of the training images."""
        return weigh(
            division.target,
            division.values[division.rows["train"]],
            class_weights=self.class_weights,
            balanced_sampling=self.balanced_sampling,
        )

    def _batches(self, found: ImageSet, division: Division, codec: ImageCodec) -> dict[str, ImageBatches]:
        """Return the batches of each split that is not empty; set the number of workers."""

        def batches(rows: NDArray[np.int64]) -> ImageBatches:
            values = torch.from_numpy(division.values[rows])
            return batch_images(
                found.images,
                rows=torch.from_numpy(rows),
                labels=codec.target.scale(values) if values.is_floating_point() else values,
                transforms=self.transforms,
                size=codec.image_size,
                seed=self.seed,
                num_classes=codec.num_classes,
            )

        own = {split: batches(rows) for split, rows in division.splits.items()}
        self.loader_workers = self._count_workers(all(isinstance(item, StackedBatches) for item in own.values()))
        return own

    def _find(self, found: ImageSet, division: Division, skipped: list[str]) -> Findings:
        """Return what was found in the images and their labels."""
        used, target = division.splits, division.target
        images = find_in_images(found, used)
        if isinstance(target, Classes):
            rows = used.get("train", division.used)
            images = replace(images, find_examples=lambda: choose_examples(found, rows, division.values, target.names))
        return find_in_division(
            division,
            images,
            groups=found.groups.view(np.int64),
            source=found.found,
            skipped=skipped,
            dropped=self.on_duplicate == "drop",
            weighted=self.balanced_sampling or self.class_weights != "none",
            what="images",
            row="images",
            places=lambda: found.places,
            remedy="`on_duplicate` drop leaves them out of train",
        )

    def list_examples(self, count: int) -> list[Example]:
        """Return images of the training split with their labels, reduced to what the net needs.

        Raises:
            DataError: the images are neither grey nor of three colours.
        """
        data, places, codec = self.train_data, self.find_places("train"), self.codec
        assert isinstance(data, ImageBatches)
        side = max(SMALL, math.ceil(codec.border * max(codec.image_size)))
        examples: list[Example] = []
        for row in choose_rows(data.labels.numpy(), count):
            kind, content = compress(data.load_pixels(row), side)
            name = f"{Path(places[row]).stem}.{kind}"
            encoded = base64.b64encode(content).decode()
            label = name_label(codec.target, data.labels[row])
            examples.append({"name": name, "type": f"image/{kind}", "content": encoded, "label": label})
        return examples

    def dataloader(self, split: str, *, shuffle: bool | None = None) -> DataLoader:
        """Return the batches of a split; decoded images of one size are augmented on the trainer's device."""
        data = self.loaded.batches.get(split)
        if isinstance(data, StackedBatches) and self.trainer is not None:
            data.place(self.trainer.strategy.root_device)
        return super().dataloader(split, shuffle=shuffle)

    def _count_workers(self, stacked: bool) -> int:
        if self.num_workers is not None:
            return self.num_workers
        return 0 if stacked else min(count_processors(), MAX_WORKERS)

    def raw_path(self) -> Path:
        """Return the file or folder of the raw images."""
        return source_path(self.source, DATA_DIR)

    def describe(self) -> str:
        """Return a summary on one line: source, number of images by split and class, sizes, decoding."""
        return f"{super().describe()}; {self.loader_workers} workers"

    def remarks(self, scores: Mapping[str, float]) -> list[str]:
        """Return the skipped images."""
        return list_skipped(self.loaded.skipped, "images")


def factorize_labels(labels: Sequence[Any]) -> tuple[NDArray[np.int64], list[Any]]:
    """Return the index of each raw label, (N,), and the distinct ones in the order in which they occur."""
    index: dict[str, int] = {}
    distinct: list[Any] = []
    found = np.empty(len(labels), np.int64)
    for row, label in enumerate(labels):
        key = label if isinstance(label, str) else f"\0{label!r}"  # lists and dicts have no hash; 1 is not "1"
        if key not in index:
            index[key] = len(distinct)
            distinct.append(label)
        found[row] = index[key]
    return found, distinct


def describe_images(found: ImageSet, division: Division, size: Size) -> str:
    """Return a summary of the images: number by split and class, sizes, and images left out."""
    target, sizes = division.target, found.sizes[division.used]
    low, high = sizes.min(0).tolist(), sizes.max(0).tolist()
    described = [", ".join(f"{len(rows):,} {split}" for split, rows in division.splits.items()) + " images"]
    if isinstance(target, Numbers):
        described.append(f"to predict: {', '.join(target.names)}")
    else:
        values = {split: division.values[rows] for split, rows in division.splits.items()}
        table = find_in_labels(target, values).tables["classes"]
        kind = "labels" if isinstance(target, LabelSets) else "classes"
        described.append(f"{len(table)} {kind} in {table.columns[1]}: {list_classes(table)}")
    described += [
        f"{low[1]} x {low[0]}{f' to {high[1]} x {high[0]}' if low != high else ''} pixels, "
        f"the net gets {size[1]} x {size[0]}",
        "decoded once" if isinstance(found.images, DecodedImages) else "decoded when needed",
    ]
    if found.skipped:
        described.append(f"{len(found.skipped):,} images that cannot be read skipped")
    return "; ".join(described)
