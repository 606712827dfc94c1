"""The DataModule of labelled texts."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightfit.cache import Arrays, cached, fingerprint, from_json

from ..base import DATA_DIR, DataModule
from ..codec import Codec
from ..labels import find_classes, index_classes
from ..samples import Loaded
from ..splits import hold_out, rows_by_split
from ..targets import Classes
from .codec import TextCodec, check_max_len
from .corpus import TextBatches, load_tokenizer, tokenise
from .sources import MOVIE_REVIEWS, locate, read_source
from .vocabulary import SPECIALS


class TextDataModule(DataModule):
    """Texts for classification: x (B, T) int64 with <unk> 0 and <pad> 1, y (B,) int64.

    Vocabulary and class names are fitted on the training split alone. The tokenised texts are cached under data/cache,
    until the file, a column or the tokenizer changes.

    Args:
        source: a table (.csv, .tsv, .jsonl), a folder with train.csv and so on, a folder train/<label>/*.txt, or a
            published set: movie-reviews (25,000 IMDB reviews, installed with LightFit) or aclImdb (50,000, downloaded).
        text_column: column of the texts: its name, or its position from 0 in a table without a header.
        label_column: column of the labels: its name or position.
        tokenizer: dotted path of a function from str to list[str]; by default the cookbook's.
        max_words: size of the vocabulary, <unk> and <pad> included; rarer words become <unk>. null: all words.
        max_len: number of words to which texts are truncated and padded; null: no truncation, padding by batch.
        bucket: batch texts of similar lengths, padded to the longest text of the batch.
        batch_size: number of texts in a batch, on each device.
        val_fraction: fraction of train to hold out as val, if the source has no val split; identical texts stay
            together.
        fold: a fold of a cross-validation, such as 2/5: val is that fold of all samples outside the test split, train
            the rest.
        seed: seed of the split and of the order.
    """

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
        super().__init__(source, batch_size=batch_size, val_fraction=val_fraction, fold=fold, seed=seed)
        if max_words is not None and max_words <= len(SPECIALS):
            raise ValueError(
                f"expected `max_words` above {len(SPECIALS)}, which <unk> and <pad> take, or null for all "
                f"words, received {max_words}: the vocabulary would have no words"
            )
        check_max_len(max_len)
        self.text_column = text_column
        self.label_column = label_column
        self.tokenizer = tokenizer
        self._tokenize, self._digest = load_tokenizer(tokenizer)
        self.imported_names = (tokenizer,)
        self.max_words = max_words
        self.max_len = max_len
        self.bucket = bucket

    @property
    def codec(self) -> TextCodec:
        """Return the codec, fitted by `setup` or loaded from a checkpoint."""
        codec = super().codec
        assert isinstance(codec, TextCodec)
        return codec

    def prepare_data(self) -> None:
        """Download the source if it is a published one that is not there yet."""
        locate(self.source, DATA_DIR)

    def read(self, source: str) -> Arrays:  # type: ignore[override]
        """Read and tokenise all texts, as `corpus.tokenise`. Uses the cache if it is up to date."""
        path = locate(source, DATA_DIR)
        columns = self.text_column, self.label_column
        format_version = 2
        return cached(
            DATA_DIR / "cache",
            "texts",
            [format_version, source, fingerprint(path), columns, [self.tokenizer, self._digest]],
            lambda grow: tokenise(read_source(source, path, *columns), self._tokenize, grow),
        )

    def load(self, source: str, codec: Codec | None = None) -> Loaded:
        """Read the texts, fit vocabulary and classes on the training split, and encode each split."""
        corpus = self.read(source)
        rows = rows_by_split(corpus["part"])
        if isinstance(codec, TextCodec):
            labels = find_classes(
                corpus["label"], from_json(corpus["labels"]), known=codec.class_names, places=lambda: _places(corpus)
            )
        else:
            rows, labels, class_names = self._hold_out(corpus, rows)
            codec = TextCodec.fit(
                corpus,
                rows["train"],
                Classes(class_names),
                tokenizer=self.tokenizer,
                max_words=self.max_words,
                max_len=self.max_len,
                bucket=self.bucket,
            )
        batches = codec.split_batches(corpus, rows, labels)
        return Loaded(
            codec,
            batches,
            description=_describe(codec, batches),
            find_places=lambda split: np.array(_places(corpus), dtype=object)[rows[split]].tolist(),
            lengths=batches["train"].lengths if self.bucket and "train" in batches else None,
        )

    def _hold_out(
        self, corpus: Arrays, rows: dict[str, NDArray[np.int64]]
    ) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.int64], list[str]]:
        """Return the indices of the texts of each split, the class index of each text, and the class names."""
        train = rows["train"] if self.fold is None else np.union1d(rows["train"], rows["val"])
        labels, class_names = index_classes(
            corpus["label"], from_json(corpus["labels"]), train=train, places=lambda: _places(corpus)
        )
        if self.fold is not None or not len(rows["val"]):
            kept, held_out = hold_out(
                labels[train], corpus["group"][train], val_fraction=self.val_fraction, fold=self.fold, seed=self.seed
            )
            rows = rows | {"train": train[kept], "val": train[held_out]}
        return rows, labels, class_names

    def raw_path(self) -> Path:
        """Return the file or folder of the raw texts."""
        return locate(self.source, DATA_DIR)


def _places(corpus: Arrays) -> list[str]:
    return from_json(corpus["places"])


def _describe(codec: TextCodec, batches: dict[str, TextBatches]) -> str:
    sizes = ", ".join(f"{len(own):,} {split}" for split, own in batches.items())
    counts = np.bincount(batches["train"].labels.numpy(), minlength=codec.num_classes) if "train" in batches else ()
    classes = ", ".join(f"{name} {count:,}" for name, count in zip(codec.class_names, counts, strict=False))
    described = f"{sizes} texts; " + (f"classes in train: {classes}; " if classes else "")
    return f"{described}{codec.vocab_size:,} of {codec.vocabulary.num_seen + 2:,} words"
