"""Predictions as rows of tables, in the order of the inputs, with rows for bad inputs."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lightfit.datamodules import Codec, LabelCodec, SeriesCodec
from lightfit.errors import BadInput, DataError, UsageError

from .predictor import Predictor, encode_samples, split_chunks

AddColumns = Callable[[list[Any]], dict[str, list[Any]]]
NOTE = "\0warning"  # column of the codec's warnings until it gets its name, as a target may be called warning


def check_top(top: int, codec: Codec) -> None:
    """Check that a codec has at least `top` classes or labels; 1 is valid for codecs without them.

    Raises:
        UsageError: there are fewer.
    """
    most = codec.target.most_ranked if isinstance(codec, LabelCodec) else 1
    if not 1 <= top <= most:
        has_names = isinstance(codec, LabelCodec) and codec.class_names
        why = f"the number of {describe_names(codec)}" if has_names else "as there are no classes"
        raise UsageError(f"expected --top from 1 to {most}, {why}, received {top}")


def describe_names(codec: Codec) -> str:
    """Return what the names of a codec's target are: classes, or labels."""
    return "labels" if isinstance(codec, LabelCodec) and codec.target.kind == "multi_label" else "classes"


def predict_rows(
    predictor: Predictor, inputs: Iterable[Any], *, batch_size: int, top: int = 1, add: AddColumns | None = None
) -> Iterator[Any]:
    """Yield a table for each batch of inputs; its last column, `error`, holds the problem of a bad input.

    Where the codec doubts a prediction of the batch, the column before is `warning`.

    Args:
        predictor: the model.
        inputs: raw samples, or `BadInput` if one could not be read.
        batch_size: number of inputs in a batch.
        top: number of most probable classes to list.
        add: from raw samples to further columns, with a cell for each sample; of a series it stands in the first row.

    Returns:
        An iterator of (DataFrame, number of inputs, problems).
    """
    first, columns = 1, None
    waiting: list[tuple[pd.DataFrame, int, list[str]]] = []  # until the first prediction, which determines the columns
    for table, num_inputs, problems in predictor.map_in_order(
        lambda chunk: _tabulate(predictor, chunk, top, add), split_chunks(inputs, batch_size)
    ):
        if predictor.codec.domain != "series":  # rows of series are steps
            table.insert(0, "row", range(first, first + num_inputs))
        first += num_inputs
        waiting.append((table, num_inputs, problems))
        if columns is None and len(problems) < num_inputs:
            columns = table.columns.drop(NOTE, errors="ignore")
        if columns is not None:
            yield from ((_arrange(held, columns), num, bad) for held, num, bad in waiting)
            waiting = []
    yield from waiting


def predict_records(
    predictor: Predictor, samples: list[Any], *, top: int = 1, x: Tensor | None = None
) -> list[list[dict[str, Any]]]:
    """Return the rows of each sample, as dicts of plain values for JSON; with a `warning` where the codec doubts it.

    Args:
        predictor: the model.
        samples: raw samples.
        top: number of most probable classes to list.
        x: the samples as encoded before; None: they are encoded here.

    Raises:
        DataError: a sample cannot be encoded.
    """
    table = _predict(predictor, samples, top, x=x)
    table = table.rename(columns={NOTE: (warning := _name_note(table.columns))})
    rows = _to_plain(table)
    for row in rows:
        if row.get(warning) == "":
            del row[warning]
    each = len(rows) // len(samples)
    return [rows[start : start + each] for start in range(0, len(rows), each)]


def list_known(codec: Codec, sample: Any) -> list[dict[str, Any]] | None:
    """Return the last rows before the forecast of a series, as dicts of plain values; None for other samples."""
    if not isinstance(codec, SeriesCodec) or isinstance(sample, BadInput):
        return None
    return _to_plain(codec.list_known(sample))


def _to_plain(table: pd.DataFrame) -> list[Any]:
    """Return rows as dicts of values that JSON has: None if missing, time stamps as ISO 8601 has them."""
    cells = table.astype(object).where(table.notna(), None)
    for name in table.select_dtypes("datetime").columns:
        cells[name] = [None if stamp is None else stamp.isoformat() for stamp in cells[name]]
    return cells.to_dict("records")


def _arrange(table: pd.DataFrame, columns: pd.Index) -> pd.DataFrame:
    """Return a table with some columns, the same for all tables, and with the column of warnings if it has one."""
    arranged = table.reindex(columns=columns)
    if NOTE in table:
        arranged.insert(len(columns) - 1, _name_note(columns), table[NOTE])
    return arranged


def _name_note(columns: pd.Index) -> str:
    return "prediction_warning" if "warning" in columns else "warning"


def _tabulate(
    predictor: Predictor, chunk: list[Any], top: int, add: AddColumns | None
) -> tuple[pd.DataFrame, int, list[str]]:
    try:
        tables = [_predict(predictor, good, top, add)] if (good := drop_bad(chunk)) else []
    except (DataError, OSError):  # find the bad inputs one by one
        chunk = [check_sample(predictor.codec, sample) for sample in chunk]
        tables = [_predict(predictor, good, top, add)] if (good := drop_bad(chunk)) else []
    problems = [item.problem for item in chunk if isinstance(item, BadInput)]
    table = tables[0] if tables else pd.DataFrame()
    table["prediction_error" if "error" in table else "error"] = ""  # a target may be called error
    return (_insert_bad(table, chunk) if problems else table), len(chunk), problems


def _predict(
    predictor: Predictor, samples: list[Any], top: int, add: AddColumns | None = None, x: Tensor | None = None
) -> pd.DataFrame:
    """Return the decoded predictions, with a last column `NOTE` where the codec doubts one."""
    codec = predictor.codec
    x = predictor.encode(samples) if x is None else x
    predictions = predictor(x)
    if isinstance(codec, SeriesCodec):
        predictions = _continue(predictor, codec, samples, predictions)
    if isinstance(codec, LabelCodec):
        table = codec.decode(samples, predictions, top=top)
    elif codec.domain == "series":
        table = codec.decode(samples, predictions, predictor.quantiles)  # type: ignore[call-arg]
    else:
        table = codec.decode(samples, predictions)
    each = len(table) // len(samples)
    for name, cells in (add(samples) if add is not None else {}).items():
        # A target may be called explanation.
        table[f"prediction_{name}" if name in table else name] = [
            cell for own in cells for cell in (own, *[None] * (each - 1))
        ]
    if any(warnings := codec.warn(samples, x)):
        table[NOTE] = np.repeat(warnings, each)
    return table


def _continue(predictor: Predictor, codec: SeriesCodec, samples: list[Any], predictions: Tensor) -> Tensor:
    """Return forecasts for as many steps as the samples ask for: beyond the horizon they start from forecasts."""
    num_steps, blocks = len(samples[0].times), [predictions]
    while sum(block.shape[1] for block in blocks) < num_steps:
        last = blocks[-1]
        samples = codec.advance(samples, last if last.ndim == 3 else last[..., last.shape[3] // 2])
        blocks.append(predictor(predictor.encode(samples)))
    return torch.cat(blocks, 1)[:, :num_steps]


def drop_bad(chunk: list[Any]) -> list[Any]:
    """Return the samples that could be read."""
    return [item for item in chunk if not isinstance(item, BadInput)]


def check_sample(codec: Codec, sample: Any) -> Any:
    """Return a sample, or `BadInput` if it cannot be encoded."""
    if not isinstance(sample, BadInput):
        try:
            encode_samples(codec, [sample])
        except (DataError, OSError) as error:
            return BadInput(str(error))
    return sample


def _insert_bad(table: pd.DataFrame, chunk: list[Any]) -> pd.DataFrame:
    """Insert a row for each bad input, in the order of the inputs."""
    num_good = len(drop_bad(chunk))
    each = len(table) // max(num_good, 1)  # number of rows of a good input
    columns = list(table.columns)
    if not num_good:
        columns[:0] = dict.fromkeys(name for item in chunk for name in (item.cells or {}) if name not in columns)
    pieces, row = [], 0
    for item in chunk:
        if isinstance(item, BadInput):
            cells = dict(item.cells or {}) | {table.columns[-1]: item.problem}
            pieces.append(pd.DataFrame({name: [value] for name, value in cells.items()}, dtype=object))
        else:
            pieces.append(table.iloc[row : row + each])
            row += each
    return pd.concat(pieces, ignore_index=True).reindex(columns=columns)
