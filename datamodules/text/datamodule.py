"""The DataModule of labelled texts."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightfit.cache import Arrays, Grow, cached, fingerprint, from_json, to_json

from ..base import DATA_DIR, DataModule
from ..codec import Codec
from ..division import Division, divide, find_in_division, weigh
from ..examples import Example, choose_rows, cut_text
from ..findings import (
    Findings,
    list_classes,
    list_skipped,
)
from ..samples import Loaded
from ..splits import rows_by_split
from ..tables.options import TableOptions
from ..targets import Target, name_label
from .codec import TextCodec, check_max_len
from .corpus import TextBatches, Tokenizer, count_words, load_tokenizer, tokenise
from .encoder_codec import EncoderCodec
from .encoder_tokens import EncoderTokens, read_tokens
from .findings import find_in_texts
from .ngrams import check_ngrams
from .sources import MOVIE_REVIEWS, TextSource, locate, read_source
from .vocabulary import SPECIALS

MOST_TOKENS = 512  # of a text, for an encoder without a limit of its own


class TextDataModule(DataModule):
    """Texts for classification: x (B, T) int64 with <unk> 0 and <pad> 1, y (B,) int64.

    Vocabulary and class names are fitted on the training split alone. The tokenised texts are cached under data/cache,
    until the file, a column or the tokenizer changes. With an encoder, its own tokenizer makes the ids, and padding is
    the id that it has for it.

    Args:
        source: a table (CSV, TSV, JSON, Parquet, Arrow, Excel, fastText; also compressed); a folder or zip of a table
            or shards for each split, or of <split>/<label>/* or <label>/*; or a published set: movie-reviews (25,000
            IMDB reviews, installed with LightFit) or aclImdb (50,000, downloaded).
        text_column: column of the texts: its name, its position from 0, or several with commas between them, which are
            joined; null: found by the usual names.
        label_column: column of the labels, likewise; several are numbers, or 0 and 1 for each label.
        labels: what the labels are: auto (recognised), classes, multi_label (sets of labels), or numbers (to predict).
        tokenizer: dotted path of a function from str to list[str]; by default the cookbook's. tokenize_any of
            lightfit.datamodules.text splits texts of any language.
        max_words: size of the vocabulary, <unk> and <pad> included; rarer words become <unk>. null: all words.
        max_len: number of words to which texts are truncated and padded; null: no truncation, padding by batch.
        ngrams: number of words in the longest n-grams. 1: a text is its words in order. Above, a text is the distinct
            n-grams in it, of known words, for nets without regard to order, such as NgramBag.
        char_ngrams: number of characters in the longest character n-grams, which add spelling; null: none. With them a
            text is the distinct n-grams in it.
        max_ngrams: number of n-grams to keep beside the words, where there are more those in many texts; fewer if there
            are many classes, so that a net has at most 4 million weights for them.
        bucket: batch texts of similar lengths, padded to the longest text of the batch.
        encoder: name of the pretrained encoder whose tokenizer splits the texts, as of `lightfit.nets.TransformerNet`,
            from which a command takes it; null: `tokenizer` does. Texts are padded by batch, and truncated to `max_len`
            tokens, or as many as the encoder takes.
        batch_size: number of texts in a batch, on each device.
        min_steps: smallest number of training batches in an epoch: those of a small table are then smaller than
            `batch_size`.
        val_fraction: fraction of train to hold out as val, if the source has no val split; identical texts stay
            together.
        fold: a fold of a cross-validation, such as 2/5: val is that fold of all samples outside the test split, train
            the rest.
        sheet: sheet of a workbook: its name or position; null: the only one.
        delimiter: character between the fields of a table; null: found.
        quote: character around fields, or none; null: found.
        encoding: encoding of the text, such as gb18030; null: found.
        header: whether the first row of a table holds names; null: found.
        class_weights: weights of the classes in the loss: none (all samples equal), balanced (all classes equal), or
            weights by class name, 1 for the classes left out.
        balanced_sampling: draw all classes equally often in training, with replacement.
        on_error: what to do with a row that cannot be read or has no label: raise, or skip it and list it at the end.
        on_duplicate: what to do with a text of train that is in val or test too: keep it and report it, or drop it.
        seed: seed of the split and of the order.
    """

    reading_arguments = (
        *("text_column", "label_column", "sheet", "delimiter", "quote", "encoding", "header", "on_error"),
        *("bucket", "batch_size"),
    )

    def __init__(
        self,
        source: str = MOVIE_REVIEWS,
        *,
        text_column: int | str | None = None,
        label_column: int | str | None = None,
        labels: Literal["auto", "classes", "multi_label", "numbers"] = "auto",
        tokenizer: str = "lightfit.datamodules.text.tokenize",
        max_words: int | None = 10_000,
        max_len: int | None = 200,
        ngrams: int = 1,
        char_ngrams: int | None = None,
        max_ngrams: int = 500_000,
        bucket: bool = False,
        encoder: str | None = None,
        batch_size: int = 20,
        min_steps: int = 1,
        val_fraction: float = 0.2,
        fold: str | None = None,
        sheet: int | str | None = None,
        delimiter: str | None = None,
        quote: str | None = None,
        encoding: str | None = None,
        header: bool | None = None,
        class_weights: Literal["none", "balanced"] | dict[str, float] = "none",
        balanced_sampling: bool = False,
        on_error: Literal["raise", "skip"] = "raise",
        on_duplicate: Literal["keep", "drop"] = "keep",
        seed: int = 0,
    ) -> None:
        super().__init__(source, batch_size=batch_size, val_fraction=val_fraction, fold=fold, seed=seed)
        if max_words is not None and max_words <= len(SPECIALS):
            raise ValueError(
                f"expected `max_words` above {len(SPECIALS)}, which <unk> and <pad> take, or null for all "
                f"words, received {max_words}: the vocabulary would have no words"
            )
        check_max_len(max_len)
        check_ngrams(ngrams, char_ngrams, max_ngrams)
        if min_steps < 1:
            raise ValueError(f"expected `min_steps` of at least 1, received {min_steps}")
        if encoder is not None:
            check_words_unset(tokenizer=tokenizer, max_words=max_words, ngrams=ngrams, char_ngrams=char_ngrams)
        self.text_column = text_column
        self.label_column = label_column
        self.labels = labels
        self.class_weights = class_weights
        self.balanced_sampling = balanced_sampling
        self.on_error = on_error
        self.table = TableOptions(
            sheet=sheet, delimiter=delimiter, quote=quote, encoding=encoding, header=header, on_error=on_error
        )
        self.on_duplicate = on_duplicate
        self.tokenizer = tokenizer
        self._tokenize, self._digest = load_tokenizer(tokenizer)
        self.encoder = encoder
        self._positions: int | None = None  # number of tokens that the encoder takes, once its tokenizer is read
        self.imported_names = (tokenizer,)
        self.max_words = max_words
        self.max_len = max_len
        self.ngrams = ngrams
        self.char_ngrams = char_ngrams
        self.max_ngrams = max_ngrams
        self.bucket = bucket
        self.min_steps = min_steps

    @property
    def codec(self) -> TextCodec | EncoderCodec:
        """Return the codec, fitted by `setup` or loaded from a checkpoint."""
        codec = super().codec
        assert isinstance(codec, (TextCodec, EncoderCodec))
        return codec

    def prepare_data(self) -> None:
        """Download the source if it is a published one that is not there yet."""
        locate(self.source, DATA_DIR)

    def read(self, source: str) -> Arrays:  # type: ignore[override]
        """Read and tokenise all texts, as `corpus.tokenise`, with what was found. Uses the cache if it is up to date.

        Three more arrays, each a list in JSON: `found`, lines about the source; `skipped`, rows that could not be read;
        `text_column`, the column of the texts alone.
        """
        return self._read_with(source, self._find_tokens())

    def _read_with(self, source: str, tokens: EncoderTokens | None) -> Arrays:
        path = locate(source, DATA_DIR)
        columns = self.text_column, self.label_column
        format_version = 3
        splitter = [self.tokenizer, self._digest] if tokens is None else ["encoder", tokens.digest]
        return cached(
            DATA_DIR / "cache",
            "texts",
            [format_version, source, fingerprint(path), columns, asdict(self.table), splitter],
            lambda grow: self._read(read_source(source, path, *columns, self.table), tokens or self._tokenize, grow),
        )

    def _find_tokens(self) -> EncoderTokens | None:
        """Return the tokenizer of the encoder: that of a checkpoint's codec, or else of the encoder's files."""
        held = self._codec or self._adopted
        if isinstance(held, EncoderCodec):
            self._positions = held.max_len
            return held.tokens
        if self.encoder is None or held is not None:
            return None
        tokens, self._positions = read_tokens(self.encoder)
        if self._positions is not None and (self.max_len or 0) > self._positions:
            raise ValueError(
                f"expected `max_len` of at most {self._positions}, the tokens that the encoder '{self.encoder}' takes, "
                f"or null for so many, received {self.max_len}"
            )
        return tokens

    def _read(self, source: TextSource, splitter: Tokenizer | EncoderTokens, grow: Grow) -> Arrays:
        corpus = tokenise(source.splits, splitter, grow)  # first, as skipped rows are found on the way
        found: dict[str, list[Any]] = {
            "found": source.found,
            "skipped": source.skipped,
            "text_column": [source.text_column],
        }
        return corpus | {name: to_json(items) for name, items in found.items()}

    def load(self, source: str, codec: Codec | None = None) -> Loaded:
        """Read the texts, fit vocabulary and labels on the training split, and encode each split."""
        tokens = self._find_tokens()
        corpus = self._read_with(source, tokens)
        held = codec or self._adopted
        known = held if isinstance(held, (TextCodec, EncoderCodec)) else None

        def places() -> list[str]:
            return from_json(corpus["places"])

        division = divide(
            from_json(corpus["labels"]),
            corpus["label"],
            rows_by_split(corpus["part"]),
            groups=corpus["group"],
            kind=self.labels,
            known=None if known is None else known.target,
            held_out=codec is None,
            skip=self.on_error == "skip",
            drop="shared" if self.on_duplicate == "drop" else "nothing",
            val_fraction=self.val_fraction,
            fold=self.fold,
            seed=self.seed,
            places=places,
        )
        rows, values = division.rows, division.values
        fitted = known or self._fit(corpus, rows["train"], division.target, tokens)
        batches = fitted.split_batches(corpus, rows, values)
        skipped = [*from_json(corpus["skipped"]), *(f"{place}: no label" for place in division.missing)]
        findings = self._find(corpus, division, fitted, skipped)
        return Loaded(
            fitted,
            batches,
            description=_describe(fitted, batches, findings.tables.get("classes")),
            find_places=lambda split: np.array(places(), dtype=object)[rows[split]].tolist(),
            lengths=batches["train"].lengths if self.bucket and "train" in batches else None,
            skipped=skipped,
            findings=findings,
            **(self._weigh(division) if "train" in batches else {}),
        )

    def find_texts(self, split: str, rows: Sequence[int]) -> list[str]:
        """Return texts of a split as they stand in the source, which is read again until all are found.

        Args:
            split: name of the split.
            rows: indices of the texts in the split.

        Returns:
            The texts, in the order of `rows`; an empty text where the source no longer has it.
        """
        places = self.loaded.find_places(split)
        wanted = {places[row] for row in rows}
        source = read_source(self.source, self.raw_path(), self.text_column, self.label_column, self.table)
        found: dict[str, str] = {}
        for text in chain.from_iterable(source.splits.values()):
            if text.place in wanted:
                found[text.place] = text.text
                if len(found) == len(wanted):
                    break
        return [found.get(places[row], "") for row in rows]

    def _fit(
        self, corpus: Arrays, train: NDArray[np.int64], target: Target, tokens: EncoderTokens | None
    ) -> TextCodec | EncoderCodec:
        column = from_json(corpus["text_column"])[0]
        if tokens is not None:
            max_len = self.max_len or self._positions or MOST_TOKENS
            return EncoderCodec(tokens=tokens, target=target, max_len=max_len, input_column=column)
        return TextCodec.fit(
            corpus,
            train,
            target,
            tokenizer=self.tokenizer,
            max_words=self.max_words,
            max_len=self.max_len,
            bucket=self.bucket,
            input_column=column,
            ngrams=self.ngrams,
            char_ngrams=self.char_ngrams,
            max_ngrams=self.max_ngrams,
        )

    def _weigh(self, division: Division) -> dict[str, Any]:
        """Return the weights of the classes in the loss, and the sampling weights of the training texts."""
        return weigh(
            division.target,
            division.values[division.rows["train"]],
            class_weights=self.class_weights,
            balanced_sampling=self.balanced_sampling,
        )

    def _find(
        self, corpus: Arrays, division: Division, codec: TextCodec | EncoderCodec, skipped: list[str]
    ) -> Findings:
        """Return what was found in the texts and their labels."""
        used = division.splits
        counts = count_words(corpus, next(iter(used.values())))
        what, max_len = "words", codec.max_len
        if isinstance(codec, EncoderCodec):
            what, max_len = "tokens", codec.room
        texts = find_in_texts(corpus, used, counts, max_len=max_len, what=what)
        return find_in_division(
            division,
            replace(texts, warnings=codec.warn_of_unknown(corpus, used)),
            groups=corpus["group"],
            source=from_json(corpus["found"]),
            skipped=skipped,
            dropped=self.on_duplicate == "drop",
            weighted=self.balanced_sampling or self.class_weights != "none",
            what="texts",
            row="rows",
            places=lambda: from_json(corpus["places"]),
            remedy="`labels` multi_label if several apply",
        )

    def list_examples(self, count: int) -> list[Example]:
        """Return texts of the training split with their labels, read anew: the corpus holds their words alone."""
        data, places, target = self.train_data, self.find_places("train"), self.codec.target
        assert isinstance(data, TextBatches)
        chosen = {places[row]: row for row in choose_rows(data.labels.numpy(), count)}
        source = read_source(self.source, self.raw_path(), self.text_column, self.label_column, self.table)
        examples: dict[str, Example] = {}
        for item in chain.from_iterable(source.splits.values()):
            if item.place in chosen and item.place not in examples:
                label = name_label(target, data.labels[chosen[item.place]])
                examples[item.place] = {"text": cut_text(item.text), "label": label}
                if len(examples) == len(chosen):
                    break
        return [examples[place] for place in chosen if place in examples]

    def choose_batch_size(self, split: str) -> int:
        """Return the number of texts in a batch: for `train` so small that an epoch has `min_steps` batches."""
        if split != "train" or self.min_steps == 1:
            return self.batch_size
        return max(min(self.batch_size, len(self.train_data) // self.min_steps), 1)

    def remarks(self, scores: Mapping[str, float]) -> list[str]:
        """Return the skipped rows."""
        return list_skipped(self.loaded.skipped, "rows")

    def raw_path(self) -> Path:
        """Return the file or folder of the raw texts."""
        return locate(self.source, DATA_DIR)


def check_words_unset(**given: Any) -> None:
    """Check that arguments about words keep their defaults, where an encoder has a tokenizer of its own.

    Raises:
        ValueError: one does not; it would be ignored.
    """
    defaults = inspect.signature(TextDataModule).parameters
    if strange := [f"`{name}` {value}" for name, value in given.items() if value != defaults[name].default]:
        raise ValueError(
            f"with `encoder` its own tokenizer splits the texts, and {', '.join(strange)} would be ignored: leave "
            "this out, or take the task finetune_text, which has none of it"
        )


def _describe(codec: TextCodec | EncoderCodec, batches: Mapping[str, TextBatches], table: pd.DataFrame | None) -> str:
    sizes = ", ".join(f"{len(own):,} {split}" for split, own in batches.items())
    classes = "" if table is None or "train" not in table else f"classes in train: {list_classes(table)}; "
    return f"{sizes} texts; {classes}{codec.describe_vocabulary()}"
