"""Embeddings of inputs as a table."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from lightfit.datamodules import Codec
from lightfit.errors import BadInput, DataError, UsageError
from lightfit.lightning_modules.embedding import embed

from .inputs.protocol import Item
from .predictor import encode_samples, split_chunks
from .rows import check_sample, drop_bad
from .trained import Trained


def embed_inputs(trained: Trained, inputs: Iterable[Item], *, batch_size: int) -> pd.DataFrame:
    """Return a row for each input: `input`, the numbers `e0`, `e1`, ... of its embedding, and `error`.

    Args:
        trained: the model and its codec.
        inputs: raw samples, or `BadInput` if one could not be read, with where they come from.
        batch_size: number of inputs in a batch.

    Raises:
        UsageError: the model has no net with an embedding of each sample, or no input could be read.
    """
    net = trained.model.net
    if net is None:
        raise UsageError(f"{type(trained.model).__name__} wraps no net, so it has no embeddings")
    names: list[str] = []
    errors: list[str] = []
    pieces: list[Any] = []
    for chunk in split_chunks(inputs, batch_size):
        names += [_name(item, len(names) + place) for place, item in enumerate(chunk)]
        good, problems = _encode(trained.codec, [item.sample for item in chunk])
        errors += problems
        if good is None:
            continue
        try:
            pieces.append(embed(net, good).numpy())
        except ValueError as error:
            raise UsageError(str(error)) from error
    if not pieces:
        raise DataError(f"none of the {len(names)} inputs could be read; the first: {errors[0] if errors else 'none'}")
    table = np.full((len(names), pieces[0].shape[1]), np.nan, np.float32)
    table[[not error for error in errors]] = np.concatenate(pieces)
    columns = pd.DataFrame(table, columns=[f"e{index}" for index in range(table.shape[1])])
    return pd.concat([pd.DataFrame({"input": names}, dtype=object), columns, pd.DataFrame({"error": errors})], axis=1)


def _encode(codec: Codec, chunk: list[Any]) -> tuple[Tensor | None, list[str]]:
    """Return the good samples as a batch, and the problem of each sample, empty if there is none."""
    try:
        x = encode_samples(codec, good) if (good := drop_bad(chunk)) else None
    except (DataError, OSError):  # find the bad samples one by one
        chunk = [check_sample(codec, sample) for sample in chunk]
        x = encode_samples(codec, good) if (good := drop_bad(chunk)) else None
    return x, [item.problem if isinstance(item, BadInput) else "" for item in chunk]


def _name(item: Item, row: int) -> str:
    """Return the text of an input, or the name of its file, whether or not it could be read; else its row."""
    given = item.origin.get("input", item.origin.get("file"))
    return f"row {row + 1}" if given is None else str(given)
