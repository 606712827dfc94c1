"""DataModules of texts and images whose labels are sets or numbers, from tables, with LightFit's codecs."""

import csv
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lightfit.datamodules import Codec, DataModule, ImageCodec, LabelSets, Numbers, Samples, Target, TextCodec
from lightfit.datamodules.text.vocabulary import Vocabulary, tokenize_words

LABELS = ("art", "money", "sport")
WORDS = {"art": "painting museum canvas", "money": "bank shares loan", "sport": "match goal league"}


def make_texts(path: Path, *, num_rows: int = 120, first: int = 0) -> Path:
    """Write texts of words of their `labels`, such as `art|sport`, and of `price` and `stars`, which follow them."""
    rng = random.Random(first)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("text", "labels", "price", "stars"))
        for index in range(first, first + num_rows):
            labels = [label for label in LABELS if rng.random() < 0.45]
            words = [rng.choice(WORDS[label].split()) for label in labels for _ in range(2)]
            price = 1000 + 100 * ("money" in labels) + rng.gauss(0, 10)
            text = " ".join(["news", f"number{index}", *words])
            rows.writerow((text, "|".join(labels), f"{price:.2f}", 1 + len(labels)))
    return path


def make_pictures(folder: Path, *, num_rows: int = 80, first: int = 0) -> Path:
    """Make images that are red, green or blue or more of these, and a table with `path`, `labels`, `price`, `stars`."""
    rng = np.random.default_rng(first)
    folder.mkdir()
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "labels", "price", "stars"))
        for index in range(first, first + num_rows):
            there = rng.random(3) < 0.5
            pixels = rng.integers(0, 60, (16, 16, 3)) + 180 * there
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index:03d}.png")
            labels = [name for name, own in zip(("blue", "green", "red"), there[::-1], strict=True) if own]
            price = 1000 + 100 * there[0] + rng.normal(0, 5)
            rows.writerow((f"{index:03d}.png", "|".join(labels), f"{price:.2f}", 1 + len(labels)))
    return folder / "table.csv"


class Table(DataModule):
    """Rows of a table.

    Args:
        source: the table.
        columns: one column of labels joined by `|`, or names of columns of numbers joined by commas.
        batch_size, val_fraction, fold, seed: as in `DataModule`.
    """

    def __init__(
        self,
        source: str,
        *,
        columns: str = "labels",
        batch_size: int = 16,
        val_fraction: float = 0.3,
        fold: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(source, batch_size=batch_size, val_fraction=val_fraction, fold=fold, seed=seed)
        self.columns = columns.split(",")
        self.reads = 0

    def read(self, source: str) -> Samples:
        """Read the rows."""
        self.reads += 1
        with open(source, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if self.columns == ["labels"]:
            sets = [[label for label in row["labels"].split("|") if label] for row in rows]
            targets: Any = LabelSets.fit(sets).encode(sets).numpy()
            self.names = LabelSets.fit(sets).names
        else:
            targets = np.array([[float(row[name]) for name in self.columns] for row in rows])
        return Samples(self.inputs(rows), targets=targets, places=[f"row {index}" for index in range(len(rows))])

    def inputs(self, rows: list[dict[str, str]]) -> list[Any]:
        """Return the raw input of each row."""
        raise NotImplementedError

    def fit_target(self, train: Samples) -> Target:
        """Fit what is predicted."""
        if self.columns == ["labels"]:
            return LabelSets(self.names)
        return Numbers.fit(torch.from_numpy(train.targets), self.columns)


class TextTable(Table):
    """Texts in a table."""

    def inputs(self, rows: list[dict[str, str]]) -> list[Any]:
        """Return the texts."""
        return [row["text"] for row in rows]

    def fit_codec(self, train: Samples) -> Codec:
        """Count the words."""
        counts = Counter(word for text in train.inputs for word in tokenize_words(text))
        return TextCodec(
            vocabulary=Vocabulary(counts),
            target=self.fit_target(train),
            tokenizer="lightfit.datamodules.text.tokenize_words",
            max_len=20,
            bucket=False,
        )


class ImageTable(Table):
    """Images whose paths are in a table."""

    def inputs(self, rows: list[dict[str, str]]) -> list[Any]:
        """Return the paths."""
        return [Path(self.source).parent / row["path"] for row in rows]

    def fit_codec(self, train: Samples) -> Codec:
        """Build a codec of small images."""
        colours: Any = {"mean": (0.5, 0.5, 0.5), "std": (0.3, 0.3, 0.3)}
        return ImageCodec(target=self.fit_target(train), image_size=(16, 16), border=1.0, **colours)
