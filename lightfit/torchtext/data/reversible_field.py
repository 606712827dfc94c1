"""Fields whose ids become texts again."""

from itertools import takewhile
from typing import Any

from torch import Tensor

from lightfit.errors import MissingPackageError

from ..vocab import SubwordVocab
from .field import Field


class ReversibleField(Field):
    """A field whose ids become texts again, by the tokenizer revtok, or by characters with `tokenize=list`.

    Args:
        **kwargs: as of `Field`; by default `tokenize` is revtok, and `unk_token` is ` UNK `.

    Raises:
        ImportError: the package revtok is not installed.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.use_revtok = kwargs.get("tokenize") is not list
        if kwargs.get("tokenize") is None:
            kwargs["tokenize"] = "revtok"
        super().__init__(**{"unk_token": " UNK ", **kwargs})

    def reverse(self, batch: Tensor) -> list[str]:
        """Return the texts of a tensor of ids, each up to its first `eos_token`.

        Args:
            batch: ids, (batch, tokens) with `batch_first`, else (tokens, batch).
        """
        rows = (batch if self.batch_first else batch.t()).tolist()
        words = self.vocab.itos
        not_words = (self.init_token, self.pad_token)
        texts = []
        for row in rows:
            tokens = takewhile(lambda token: token != self.eos_token, (words[index] for index in row))
            texts.append(self._join([token for token in tokens if token not in not_words]))
        return texts

    def _join(self, tokens: list[str]) -> str:
        if not self.use_revtok:
            return "".join(tokens)
        try:
            import revtok
        except ModuleNotFoundError as error:
            raise MissingPackageError("texts are made of tokens by the package revtok: pip install revtok") from error
        return revtok.detokenize(tokens)


class SubwordField(ReversibleField):
    """A field of pieces of words, found by revtok.

    Call `build_vocab` on the training split, then `segment` on all data sets.

    Args:
        **kwargs: as of `Field`; `tokenize` is set, and `unk_token` is the replacement character by default.
    """

    vocab_cls = SubwordVocab
    vocab: SubwordVocab

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"unk_token": "\ufffd", **kwargs, "tokenize": "subword"})

    def segment(self, *args: Any) -> None:
        """Replace the words of each example by their pieces.

        Args:
            *args: data sets, or columns: lists of lists of words.
        """
        for column in self.columns_of(args):
            for words in column:
                words[:] = self.vocab.segment(words)
