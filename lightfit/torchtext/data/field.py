"""A column of a data set: how its values become tokens, a vocabulary, padded lists and tensors."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import torch

from lightfit.errors import DataError, NotSetUpError, clip

from ..vocab import Vocab
from .dataset import Dataset
from .pipeline import Pipeline
from .utils import Tokenizer, get_tokenizer

Process = Callable[..., Any]


class RawField:
    """A column whose values stay as they are.

    Args:
        preprocessing: function of a value, when its example is made.
        postprocessing: function of the list of a batch's values, when the batch is made.
        is_target: whether the column is a target, the second item of `inputs, targets = batch`.
    """

    def __init__(
        self, preprocessing: Process | None = None, postprocessing: Process | None = None, is_target: bool = False
    ) -> None:
        self.preprocessing = preprocessing
        self.postprocessing = postprocessing
        self.is_target = is_target

    def preprocess(self, x: Any) -> Any:
        """Return the value of an example."""
        return x if self.preprocessing is None else self.preprocessing(x)

    def process(self, batch: list[Any], *args: Any, **kwargs: Any) -> Any:
        """Return what a batch has in this field."""
        return batch if self.postprocessing is None else self.postprocessing(batch)


class Field(RawField):
    """A column of texts or labels that becomes a tensor.

    Args:
        sequential: whether the values are texts; otherwise they are single tokens, such as labels.
        use_vocab: whether tokens become ids by `vocab`, after `build_vocab`; otherwise they are numbers.
        init_token: a token before each text.
        eos_token: a token after each text.
        fix_length: number of tokens of each text, those before included; None: that of the longest in the batch.
        dtype: of the tensors.
        preprocessing: function of the list of tokens, when the example is made.
        postprocessing: function of the batch's ids, a list for each text, and of the vocabulary (or None).
        lower: whether tokens become lower case.
        tokenize: function from a text to its tokens, or a name as in `get_tokenizer`; None splits at white space.
        tokenizer_language: as in `get_tokenizer`.
        include_lengths: whether batches are (ids, number of tokens of each text).
        batch_first: whether ids are (batch, tokens) and not (tokens, batch).
        pad_token: the token that makes texts equally long.
        unk_token: the token of unknown words. Only `<unk>` stands for them: with another one they are an error.
        pad_first: whether padding is put before the text.
        truncate_first: whether long texts lose their begin and not their end.
        stop_words: tokens that are dropped.
        is_target: as in `RawField`.

    Attributes:
        vocab: the vocabulary, after `build_vocab`.

    Raises:
        ValueError: `stop_words` is no collection, or there is no such tokenizer.
        ImportError: the tokenizer's package is not installed.
    """

    vocab_cls: type[Vocab] = Vocab
    vocab: Vocab

    def __init__(
        self,
        sequential: bool = True,
        use_vocab: bool = True,
        init_token: str | None = None,
        eos_token: str | None = None,
        fix_length: int | None = None,
        dtype: torch.dtype = torch.long,
        preprocessing: Process | None = None,
        postprocessing: Process | None = None,
        lower: bool = False,
        tokenize: str | Tokenizer | None = None,
        tokenizer_language: str = "en",
        include_lengths: bool = False,
        batch_first: bool = False,
        pad_token: str | None = "<pad>",
        unk_token: str | None = "<unk>",
        pad_first: bool = False,
        truncate_first: bool = False,
        stop_words: Iterable[str] | None = None,
        is_target: bool = False,
    ) -> None:
        super().__init__(preprocessing, postprocessing, is_target)
        self.sequential = sequential
        self.use_vocab = use_vocab
        self.init_token = init_token
        self.eos_token = eos_token
        self.unk_token = unk_token
        self.pad_token = pad_token if sequential else None
        self.fix_length = fix_length
        self.dtype = dtype
        self.lower = lower
        self.tokenizer_args = tokenize, tokenizer_language
        self.tokenize = get_tokenizer(tokenize, tokenizer_language)
        self.include_lengths = include_lengths
        self.batch_first = batch_first
        self.pad_first = pad_first
        self.truncate_first = truncate_first
        try:
            self.stop_words = None if stop_words is None else set(stop_words)
        except TypeError as error:
            raise ValueError(f"expected `stop_words` as a collection of tokens, received {stop_words!r}") from error

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled; a tokenizer that has a name is found again by it, as spaCy's are large."""
        by_name = isinstance(self.tokenizer_args[0], str)
        return {**vars(self), "tokenize": None} if by_name else dict(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.tokenize is None:
            self.tokenize = get_tokenizer(*self.tokenizer_args)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Field) and self.__getstate__() == other.__getstate__()

    def __hash__(self) -> int:
        return hash(type(self).__name__)  # equal fields have equal hashes; what else they hold may change

    def preprocess(self, x: Any) -> Any:
        """Return the tokens of a text, or the single token of a field that is not sequential."""
        if self.sequential and isinstance(x, str):
            x = self.tokenize(x.rstrip("\n"))
        if self.lower:
            x = Pipeline(str.lower)(x)
        if self.sequential and self.use_vocab and self.stop_words is not None:
            x = [token for token in x if token not in self.stop_words]
        return super().preprocess(x)

    def process(self, batch: Iterable[Any], device: Any = None) -> Any:
        """Return the tensor of a batch, or with `include_lengths` that and the lengths."""
        return self.numericalize(self.pad(batch), device=device)

    def pad(self, minibatch: Iterable[Any]) -> Any:
        """Return the texts equally long; with `include_lengths` also their numbers of tokens without padding."""
        texts = list(minibatch)
        if not self.sequential:
            return texts
        padded, lengths = self._pad(texts, self.fix_length)
        return (padded, lengths) if self.include_lengths else padded

    def _pad(
        self, texts: Sequence[Sequence[Any]], fix_length: int | None, around: tuple[Any, Any, Any] | None = None
    ) -> tuple[list[list[Any]], list[int]]:
        """Return texts of `fix_length` tokens and their lengths without padding.

        Args:
            texts: tokens, or lists of tokens.
            fix_length: number of tokens of each; None: of the longest.
            around: what stands before, after, and for padding, if it is not the field's own tokens.
        """
        init, eos, pad = around or (self.init_token, self.eos_token, self.pad_token)
        before, after = [] if init is None else [init], [] if eos is None else [eos]
        room = max(map(len, texts)) if fix_length is None else max(fix_length - len(before) - len(after), 0)
        padded, lengths = [], []
        for text in texts:
            kept = text[max(len(text) - room, 0) :] if self.truncate_first else text[:room]
            whole = [*before, *kept, *after]
            padding = [pad] * (room - len(kept))
            padded.append([*padding, *whole] if self.pad_first else [*whole, *padding])
            lengths.append(len(whole))
        return padded, lengths

    def columns_of(self, sources: Iterable[Any]) -> list[Any]:
        """Return the columns of this field in data sets; other sources are columns themselves."""
        columns: list[Any] = []
        for source in sources:
            if isinstance(source, Dataset):
                columns += [getattr(source, name) for name, field in source.fields.items() if field is self]
            else:
                columns.append(source)
        return columns

    def build_vocab(self, *args: Any, **kwargs: Any) -> None:
        """Count the tokens and make `vocab` of them.

        Args:
            *args: data sets, of which every column with this field counts, or columns: lists of lists of tokens.
            **kwargs: passed to `Vocab`; `specials` are added to the field's own special tokens.
        """
        freqs: Counter[Any] = Counter()
        for values in chain.from_iterable(self.columns_of(args)):
            tokens = values if self.sequential else [values]
            try:
                freqs.update(tokens)
            except TypeError:  # lists of lists of tokens
                freqs.update(chain.from_iterable(tokens))
        specials = [self.unk_token, self.pad_token, self.init_token, self.eos_token, *kwargs.pop("specials", [])]
        specials = list(dict.fromkeys(token for token in specials if token is not None))
        self.vocab = self.vocab_cls(freqs, specials=specials, **kwargs)

    def numericalize(self, arr: Any, device: Any = None) -> Any:
        """Return tokens as a tensor of ids or numbers.

        Args:
            arr: padded texts, or single tokens; with `include_lengths` a tuple of these and the lengths.
            device: where the tensor is made; None: the CPU.

        Raises:
            ValueError: the lengths are missing; without a vocabulary, a value is no number or `dtype` is none of
                whole numbers or floats.
            AttributeError: the vocabulary is not built yet.
            KeyError: a token is unknown, and the vocabulary has no `<unk>`.
        """
        lengths = None
        if self.include_lengths and not isinstance(arr, tuple):
            raise ValueError(
                f"with `include_lengths`, expected a tuple (texts, lengths), received a {type(arr).__name__}"
            )
        if isinstance(arr, tuple):
            arr, lengths = arr
        if self.use_vocab:
            if not hasattr(self, "vocab"):
                raise NotSetUpError("the field has no vocabulary yet: call `build_vocab(train)` before making batches")
            ids = self.vocab.stoi
            arr = [[ids[token] for token in text] for text in arr] if self.sequential else [ids[token] for token in arr]
        elif not self.sequential:
            arr = self._read_numbers(arr)
        if self.postprocessing is not None:
            arr = self.postprocessing(arr, self.vocab if self.use_vocab else None)
        tensor = torch.tensor(arr, dtype=self.dtype, device=device)
        if self.sequential and not self.batch_first:
            tensor = tensor.t().contiguous()
        if self.include_lengths:
            return tensor, torch.tensor(lengths, dtype=self.dtype, device=device)
        return tensor

    def _read_numbers(self, values: Iterable[Any]) -> list[Any]:
        if self.dtype.is_complex or self.dtype is torch.bool:
            raise ValueError(
                f"with `use_vocab=False`, expected `dtype` of whole numbers or floats, received {self.dtype}"
            )
        read: type = float if self.dtype.is_floating_point else int
        try:
            return [read(value) if isinstance(value, str) else value for value in values]
        except ValueError as error:
            raise DataError(
                f"expected numbers ({read.__name__}) in a field with `use_vocab=False`: {clip(error)}; a first row of "
                "names is passed over by `skip_header=True`, and labels in words need `LabelField()` and `build_vocab`"
            ) from error


class LabelField(Field):
    """A field of labels: not sequential, without a token for unknown ones, and a target.

    Args:
        **kwargs: as of `Field`; `sequential`, `unk_token` and `is_target` are set.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "sequential": False, "unk_token": None, "is_target": True})
