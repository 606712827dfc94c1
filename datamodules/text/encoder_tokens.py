"""The tokenizer of a pretrained encoder: texts to the ids that the encoder was trained with."""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightfit.encoders import EncoderFiles, find_encoder
from lightfit.errors import DataError
from lightfit.extras import importing_extra

Encoded = tuple[NDArray[np.int32], NDArray[np.int64]]
WORD = "a"  # any text, to see what is put around one
MOST_POSITIONS = 100_000  # larger ones in a file mean that there is no limit


class EncoderTokens:
    """A tokenizer of the library `tokenizers`, as plain data and as a function; it runs no code of a file.

    Args:
        content: a tokenizer.json as a text.
        pad: id of the token that fills up a batch.

    Raises:
        DataError: the content is no tokenizer.
    """

    def __init__(self, content: str, *, pad: int) -> None:
        with importing_extra("the tokenizer of an encoder", extra="pretrained"):
            from tokenizers import Tokenizer
        try:
            self._tokenizer: Any = Tokenizer.from_str(content)
        except Exception as error:  # the library raises Exception itself
            raise DataError(f"the encoder's tokenizer cannot be read: {' '.join(str(error).split())[:200]}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.content = content
        self.pad = pad

    @cached_property
    def around(self) -> tuple[list[int], list[int]]:
        """Return the ids that stand before and behind every text, such as those of [CLS] and [SEP]."""
        whole = self._tokenizer.encode(WORD).ids
        bare = self._tokenizer.encode(WORD, add_special_tokens=False).ids
        place = next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), len(whole))
        return whole[:place], whole[place + len(bare) :]

    @cached_property
    def unknown(self) -> int | None:
        """Return the id of unknown tokens; None where there are none, as all bytes are known."""
        model = json.loads(self._tokenizer.to_str())["model"]
        if isinstance(model.get("unk_id"), int):
            return model["unk_id"]
        token = model.get("unk_token")
        return None if token is None else self._tokenizer.token_to_id(token)

    @cached_property
    def words(self) -> list[str]:
        """Return the tokens by id as letters of texts, without the marks of a token within a word."""
        ids = range(len(self))
        decoded = self._tokenizer.decode_batch([[index] for index in ids], skip_special_tokens=True)
        return [word.replace("\ufffd", "").removeprefix("##") for word in decoded]

    @cached_property
    def digest(self) -> str:
        """Return a digest of the tokenizer."""
        return hashlib.blake2b(self.content.encode(), digest_size=16).hexdigest()

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def name(self, index: int) -> str:
        """Return the token of an id as the tokenizer writes it."""
        return self._tokenizer.id_to_token(index) or ""

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Return the concatenated ids of texts, int32, without those around a text, and how many each has, (N,)."""
        found = [item.ids for item in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]
        lengths = np.array([len(ids) for ids in found], np.int64)
        return np.fromiter(chain.from_iterable(found), np.int32, int(lengths.sum())), lengths

    def offsets(self, text: str) -> list[tuple[int, tuple[int, int]]]:
        """Return the id of each token of a text, and its start and end in characters."""
        found = self._tokenizer.encode(text, add_special_tokens=False)
        return list(zip(found.ids, found.offsets, strict=True))

    def wrap(self, tokens: NDArray[np.int32], lengths: NDArray[np.int64], max_len: int) -> Encoded:
        """Truncate texts and put around each what the encoder expects.

        Args:
            tokens: concatenated ids, as `encode` returns them.
            lengths: number of ids of each text, (N,).
            max_len: number of ids to which texts are truncated, with those around them.

        Returns:
            The concatenated ids, int32, and how many each text has, (N,); at least one.
        """
        before, behind = self.around
        kept = np.minimum(lengths, max(max_len - len(before) - len(behind), 0))
        if not (before or behind):  # an empty text would be all padding
            kept = np.maximum(kept, 1)
        whole = kept + len(before) + len(behind)
        starts, ends = lengths.cumsum() - lengths, whole.cumsum()
        shift = np.repeat(starts - (kept.cumsum() - kept), kept)
        room = np.append(tokens, np.int32(self.unknown or 0))  # the last one for empty texts
        made = np.empty(int(whole.sum()), np.int32)
        inside = np.ones(len(made), bool)
        for offset, index in enumerate(before):
            made[ends - whole + offset], inside[ends - whole + offset] = index, False
        for offset, index in enumerate(behind):
            made[ends - len(behind) + offset], inside[ends - len(behind) + offset] = index, False
        made[inside] = room[np.minimum(shift + np.arange(len(shift)), len(tokens))]
        if not (before or behind):
            made[(ends - whole)[lengths == 0]] = room[-1]
        return made, whole


def read_tokens(name: str) -> tuple[EncoderTokens, int | None]:
    """Read the tokenizer of an encoder, and the number of tokens that the encoder can take.

    Args:
        name: as of `find_encoder`.

    Raises:
        LightFitError: as `find_encoder`.
        DataError: the encoder has no tokenizer that can be read, or it has no token to fill up batches with.
    """
    files = find_encoder(name)
    path = files.find("tokenizer.json")
    content = _convert(files) if path is None else path.read_text(encoding="utf-8")
    config = files.read_json("config.json")
    tokens = EncoderTokens(content, pad=0)
    named = [files.read_json(file).get("pad_token") for file in ("tokenizer_config.json", "special_tokens_map.json")]
    token = next((item["content"] if isinstance(item, dict) else item for item in named if item), None)
    pad = config.get("pad_token_id") if token is None else tokens._tokenizer.token_to_id(token)
    if not isinstance(pad, int) or not 0 <= pad < len(tokens):
        raise DataError(
            f"the tokenizer of '{name}' has no padding token, which shorter texts of a batch are filled up with: "
            'expected "pad_token" in its tokenizer_config.json'
        )
    tokens.pad = pad
    return tokens, count_positions(config)


def count_positions(config: dict[str, Any]) -> int | None:
    """Return the number of tokens that an encoder can take, by its config.json; None for no limit."""
    most = config.get("max_position_embeddings")
    if not isinstance(most, int) or not 0 < most < MOST_POSITIONS:
        return None
    # The positions of the family of RoBERTa begin behind the padding token's.
    behind = str(config.get("model_type")) in ("roberta", "xlm-roberta", "camembert", "mpnet", "data2vec-text")
    return most - int(config.get("pad_token_id") or 0) - 1 if behind else most


def _convert(files: EncoderFiles) -> str:
    """Convert another file of a tokenizer, such as vocab.txt."""
    with importing_extra("a tokenizer without tokenizer.json", extra="pretrained"):
        from transformers import AutoTokenizer
    try:
        return AutoTokenizer.from_pretrained(
            files.folder, local_files_only=True, trust_remote_code=False
        ).backend_tokenizer.to_str()
    except Exception as error:  # the library raises what its parts raise
        raise DataError(
            f"the tokenizer in '{files.folder}' cannot be converted ({' '.join(str(error).split())[:150]}): expected a "
            "tokenizer.json, as save_pretrained of a fast tokenizer writes it"
        ) from error
