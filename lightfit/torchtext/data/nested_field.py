"""Texts as lists of words, each of which is a list of characters."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch

from .field import Field, Process
from .utils import Tokenizer


class NestedField(Field):
    """A field whose tokens are texts of another field, such as the characters of words.

    Batches are (batch, words, characters), with `include_lengths` followed by the number of words of each text and the
    number of characters of each word.

    Args:
        nesting_field: the field of the tokens; both share one vocabulary.
        use_vocab: as of `Field`; so are all others.
        init_token: a word before each text.
        eos_token: a word after each text.
        fix_length: number of words.
        dtype: of the lengths.
        preprocessing: function of the list of words, before they are split.
        postprocessing: not used; that of `nesting_field` is.
        tokenize: from a text to its words.
        tokenizer_language: as in `get_tokenizer`.
        include_lengths: whether batches have the lengths.
        pad_token: the padding, if `nesting_field` is not sequential.
        pad_first: whether padding comes before the words.
        truncate_first: whether long texts lose their first words.

    Raises:
        ValueError: `nesting_field` is itself nested, or includes lengths.
    """

    def __init__(
        self,
        nesting_field: Field,
        use_vocab: bool = True,
        init_token: str | None = None,
        eos_token: str | None = None,
        fix_length: int | None = None,
        dtype: torch.dtype = torch.long,
        preprocessing: Process | None = None,
        postprocessing: Process | None = None,
        tokenize: str | Tokenizer | None = None,
        tokenizer_language: str = "en",
        include_lengths: bool = False,
        pad_token: str | None = "<pad>",
        pad_first: bool = False,
        truncate_first: bool = False,
    ) -> None:
        if isinstance(nesting_field, NestedField):
            raise ValueError(
                "expected `nesting_field` as a plain Field, received a NestedField: two levels are the most"
            )
        if nesting_field.include_lengths:
            raise ValueError("expected `nesting_field` without `include_lengths`: set it in the NestedField")
        super().__init__(
            use_vocab=use_vocab,
            init_token=init_token,
            eos_token=eos_token,
            fix_length=fix_length,
            dtype=dtype,
            preprocessing=preprocessing,
            postprocessing=postprocessing,
            lower=nesting_field.lower,
            tokenize=tokenize,
            tokenizer_language=tokenizer_language,
            include_lengths=include_lengths,
            batch_first=True,
            pad_token=nesting_field.pad_token if nesting_field.sequential else pad_token,
            unk_token=nesting_field.unk_token,
            pad_first=pad_first,
            truncate_first=truncate_first,
        )
        self.nesting_field = nesting_field
        nesting_field.batch_first = True

    def preprocess(self, x: Any) -> list[Any]:
        """Return the words of a text, each as `nesting_field` makes it."""
        return [self.nesting_field.preprocess(word) for word in super().preprocess(x)]

    def pad(self, minibatch: Iterable[Any]) -> Any:
        """Return texts of equally many words of equal length.

        With `include_lengths`, also the number of words of each text and the number of characters of each word.
        """
        texts = list(minibatch)
        inner = self.nesting_field
        if not inner.sequential:
            return super().pad(texts)
        length = inner.fix_length
        if length is None:
            around = (inner.init_token, inner.eos_token)
            length = max(map(len, chain.from_iterable(texts)), default=1) + len(around) - around.count(None)
        empty_word = [self.pad_token] * length
        init, eos = (None if token is None else [token] for token in (self.init_token, self.eos_token))
        padded_texts, num_words = self._pad(texts, self.fix_length, (init, eos, empty_word))
        padded, num_chars = [], []
        for words, count in zip(padded_texts, num_words, strict=True):
            spelled, lengths = inner._pad(words, length)
            num_empty = len(words) - count
            # An empty word has neither the first nor the last token of a word.
            empty = slice(0, num_empty) if self.pad_first else slice(count, None)
            spelled[empty], lengths[empty] = [empty_word] * num_empty, [0] * num_empty
            padded.append(spelled)
            num_chars.append(lengths)
        return (padded, num_words, num_chars) if self.include_lengths else padded

    def build_vocab(self, *args: Any, **kwargs: Any) -> None:
        """Count the tokens of `nesting_field` and make the vocabulary that both fields share.

        Args:
            *args: as of `Field.build_vocab`, with one level more.
            **kwargs: passed to `Vocab`.
        """
        vectors = {name: kwargs.pop(name, None) for name in ("vectors", "unk_init", "vectors_cache")}
        self.nesting_field.build_vocab(*chain.from_iterable(self.columns_of(args)), **kwargs)
        super().build_vocab()  # the special tokens of this field
        self.vocab.extend(self.nesting_field.vocab)
        self.vocab.freqs = self.nesting_field.vocab.freqs
        if vectors["vectors"] is not None:
            cache = vectors["vectors_cache"]
            self.vocab.load_vectors(vectors["vectors"], unk_init=vectors["unk_init"], cache=cache)
        self.nesting_field.vocab = self.vocab

    def numericalize(self, arr: Any, device: Any = None) -> Any:
        """Return padded texts as a tensor of ids, (batch, words, characters).

        Args:
            arr: what `pad` returns.
            device: where the tensor is made; None: the CPU.
        """
        texts, *lengths = arr if self.include_lengths else (arr,)
        ids = torch.stack([self.nesting_field.numericalize(text, device=device) for text in texts])
        if self.include_lengths:
            return ids, *(torch.tensor(length, dtype=self.dtype, device=device) for length in lengths)
        return ids
