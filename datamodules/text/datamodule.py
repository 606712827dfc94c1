"""Labelled texts to batches of word numbers."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from lightfit.cache import Arrays, cached, fingerprint, from_arrays, from_json

from ..base import DATA_DIR, Batches
from ..labels import find_numbers, number_labels
from ..splits import SPLITS, hold_out, part_rows
from .codec import TextEncodingDataModule
from .corpus import TextBatches, count_words, load_tokenizer, tokenise
from .sources import MOVIE_REVIEWS, locate, read_source
from .vocabulary import SPECIALS, Vocabulary

MOST_WORDS = 1_000_000  # of a text; all are padded to max_len


class TextDataModule(TextEncodingDataModule):
    """Texts with a class each: x (B, T) int64 with <unk> 0 and <pad> 1, y (B,) int64.

    Vocabulary and class names come from the training part alone. The tokenised texts are kept under data/cache, until
    the file, a column or the tokenizer changes.

    Args:
        source: a table (.csv, .tsv, .jsonl), a folder with train.csv and so on, a folder train/<label>/*.txt, or a
            published set: movie-reviews (25,000 IMDB reviews, installed with LightFit) or aclImdb (50,000, downloaded).
        text_column: name of the texts' column, or its position from 0 in a table without a header.
        label_column: name or position of the labels' column.
        tokenizer: dotted path of a function from str to list[str]; the cookbook's by default.
        max_words: size of the vocabulary, <unk> and <pad> included; rarer words become <unk>. All words if null.
        max_len: number of words to which every text is cut and padded; null cuts nothing and pads by the batch.
        bucket: make batches of texts of similar lengths, padded only to the longest of them.
        batch_size: number of texts in a batch, on each device.
        val_fraction: part of train that becomes val, where the source has no val; identical texts stay together.
        fold: a fold of a cross-validation, such as 2/5: val is that part of all but the test part, train the rest;
            fit.py --folds runs them all.
        seed: seed of the split and of the order; the command line sets it from --seed_everything.
    """

    source_argument = "source"
    reading_arguments = ("text_column", "label_column", "bucket", "batch_size")

    def __init__(
        self,
        source: str = MOVIE_REVIEWS,
        *,
        text_column: int | str = "text",
        label_column: int | str = "label",
        tokenizer: str = "lightfit.datamodules.text.tokenize",
        max_words: int | None = 10_000,
        max_len: int | None = 200,
        bucket: bool = False,
        batch_size: int = 20,
        val_fraction: float = 0.2,
        fold: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed)
        if max_words is not None and max_words <= len(SPECIALS):
            raise ValueError(
                f"expected max_words above {len(SPECIALS)}, which <unk> and <pad> take, or null for all "
                f"words, received {max_words}: the vocabulary would have no words"
            )
        if max_len is not None and not 1 <= max_len <= MOST_WORDS:
            raise ValueError(
                f"expected max_len of at least 1 and at most {MOST_WORDS:,}, to which every text is padded, or null "
                f"for no limit, received {max_len}"
            )
        self.source = source
        self.text_column = text_column
        self.label_column = label_column
        self.tokenizer, code = load_tokenizer(tokenizer)
        self._tokenizer_key = [tokenizer, code]
        self.imported_names = (tokenizer,)
        self.max_words = max_words
        self.max_len = max_len
        self.bucket = bucket
        self.val_fraction = val_fraction
        self.fold = fold

    def prepare_data(self) -> None:
        """Downloads the source where it is a published one that is not here yet."""
        locate(self.source, DATA_DIR)

    def _read(self) -> None:
        corpus = self._tokenised()
        rows, labels = self._split(corpus)
        words = from_arrays(corpus["words_ends"], corpus["words_bytes"])
        counts = count_words(corpus, rows["train"])
        self._vocabulary = Vocabulary.from_counts(words, counts, corpus["alphabet"], max_words=self.max_words)
        parts = self._encoded(corpus, words, rows, labels)
        self.train_data, self.val_data, self.test_data = parts["train"], parts["val"], parts.get("test")
        self.lengths = parts["train"].lengths if self.bucket else None

    def _encoded(
        self, corpus: Arrays, words: pa.StringArray, rows: dict[str, NDArray[np.int64]], labels: NDArray[np.int64]
    ) -> dict[str, TextBatches]:
        """The texts of each part that has any, by number of the vocabulary."""
        numbers = torch.from_numpy(self.vocabulary.number(words))
        tokens, starts = torch.from_numpy(corpus["tokens"]), torch.from_numpy(corpus["offsets"][:-1])
        whole, classes = np.diff(corpus["offsets"]), torch.from_numpy(labels)
        lengths = torch.from_numpy(whole if self.max_len is None else np.minimum(whole, self.max_len))
        return {
            part: TextBatches(numbers, tokens, starts[own], lengths[own], classes[own], width=self._width)
            for part, own in ((part, torch.from_numpy(rows[part])) for part in SPLITS if len(rows[part]))
        }

    def read_parts(self) -> dict[str, Batches]:
        """The parts of the source, each label one of the checkpoint's classes."""
        corpus = self._tokenised()
        labels = find_numbers(
            corpus["label"],
            from_json(corpus["labels"]),
            known=self.class_names,
            places=lambda: from_json(corpus["places"]),
        )
        words = from_arrays(corpus["words_ends"], corpus["words_bytes"])
        return {**self._encoded(corpus, words, part_rows(corpus["part"]), labels)}

    def _tokenised(self) -> Arrays:
        path = locate(self.source, DATA_DIR)
        columns = self.text_column, self.label_column
        format_version = 2
        return cached(
            DATA_DIR / "cache",
            "texts",
            [format_version, self.source, fingerprint(path), columns, self._tokenizer_key],
            lambda grow: tokenise(read_source(self.source, path, *columns), self.tokenizer, grow),
        )

    def _split(self, corpus: Arrays) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.int64]]:
        """The indices of the texts of each part, and the classes of all texts."""
        rows = part_rows(corpus["part"])
        train = rows["train"] if self.fold is None else np.union1d(rows["train"], rows["val"])
        labels, self._class_names = number_labels(
            corpus["label"], from_json(corpus["labels"]), train=train, places=lambda: from_json(corpus["places"])
        )
        if self.fold is not None or not len(rows["val"]):
            kept, held_out = hold_out(
                labels[train], corpus["group"][train], val_fraction=self.val_fraction, fold=self.fold, seed=self.seed
            )
            rows["train"], rows["val"] = train[kept], train[held_out]
        self._val_places = lambda: np.array(from_json(corpus["places"]), dtype=object)[rows["val"]].tolist()
        return rows, labels

    def val_places(self) -> list[str]:
        """File and line of each validation text."""
        return self._val_places()

    def raw_path(self) -> Path:
        """The file or folder that was read."""
        return locate(self.source, DATA_DIR)

    def describe(self) -> str:
        """One line: source, number of texts in each part and class, words kept."""
        labels: Counter[int] = Counter(self.train_data.labels.tolist())  # type: ignore[attr-defined]
        classes = ", ".join(f"{name} {labels[number]:,}" for number, name in enumerate(self.class_names))
        test = f", {len(self.test_data):,} test" if self.test_data is not None else ""
        return (
            f"{self.source}: {len(self.train_data):,} train, {len(self.val_data):,} val{test} texts; "
            f"classes in train: {classes}; {self.vocab_size:,} of {self.vocabulary.num_seen + 2:,} words"
        )

    @property
    def example_input(self) -> str:
        """A text, or what a person would type in its place."""
        return "A text of your own"
