"""Predictions as rows of tables, in the order of the inputs, with rows for bad inputs."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lightfit.datamodules import Codec, LabelCodec, SeriesCodec
from lightfit.errors import BadInput, DataError, UsageError

from .inputs.protocol import Item
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


class Rows(NamedTuple):
    """The rows of a batch of inputs.

    Args:
        table: the rows; its last column, `error`, holds the problem of a bad input.
        num_inputs: number of inputs.
        problems: the problems of the bad ones.
        kept: columns of the inputs' tables, with as many rows; None: none are kept.
    """

    table: pd.DataFrame
    num_inputs: int
    problems: list[str]
    kept: pd.DataFrame | None = None


def predict_rows(
    predictor: Predictor,
    inputs: Iterable[Any],
    *,
    batch_size: int,
    top: int = 1,
    add: AddColumns | None = None,
    always_note: bool = False,
) -> Iterator[tuple[pd.DataFrame, int, list[str]]]:
    """Yield a table for each batch of inputs, as `arrange_rows` does.

    Args:
        predictor: the model.
        inputs: raw samples, or `BadInput` if one could not be read; or each in an `Item`, with where it comes from.
        batch_size: number of inputs in a batch.
        top: number of most probable classes to list.
        add: from raw samples to further columns, with a cell for each sample; of a series it stands in the first row.
        always_note: as in `arrange_rows`.
    """
    batches = predictor.map_in_order(
        lambda chunk: tabulate(predictor, chunk, top, add), split_chunks(inputs, batch_size)
    )
    return arrange_rows(batches, numbered=predictor.codec.domain != "series", always_note=always_note)


def arrange_rows(
    batches: Iterable[Rows], *, numbered: bool, always_note: bool = False
) -> Iterator[tuple[pd.DataFrame, int, list[str]]]:
    """Yield the table of each batch, the number of inputs, and their problems; all tables have the same columns.

    First comes `row`, then the columns that the inputs' tables keep, then the predictions, where they come from, and
    `error`. Where the codec doubts a prediction of the batch, the column before is `warning`. A column whose name a
    kept one has is called `prediction_...` instead.

    Args:
        batches: as returned by `tabulate`.
        numbered: whether each input is a row, and has its number.
        always_note: whether all tables have the column `warning`.
    """
    first, columns = 1, None
    waiting: list[Rows] = []  # until the first prediction, which determines the columns
    for batch in batches:
        if numbered:  # rows of series are steps
            batch.table.insert(0, "row", range(first, first + batch.num_inputs))
        first += batch.num_inputs
        waiting.append(batch)
        if columns is None and len(batch.problems) < batch.num_inputs:
            columns = batch.table.columns.drop(NOTE, errors="ignore")
        if columns is not None:
            yield from (_arrange(held, columns, place=int(numbered), always_note=always_note) for held in waiting)
            waiting = []
    for held in waiting:  # no input was good
        yield _arrange(held, held.table.columns, place=int(numbered), always_note=always_note)


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


def _arrange(batch: Rows, columns: pd.Index, *, place: int, always_note: bool) -> tuple[pd.DataFrame, int, list[str]]:
    """Return a batch with some columns, the same for all, with that of warnings if it has one, and with kept ones."""
    arranged = batch.table.reindex(columns=columns)
    if NOTE in batch.table or always_note:
        arranged.insert(len(columns) - 1, _name_note(columns), batch.table.get(NOTE))
    if batch.kept is not None:
        arranged = arranged.rename(columns=rename_ours(list(arranged.columns), list(batch.kept.columns)))
        pieces = [arranged.iloc[:, :place], batch.kept, arranged.iloc[:, place:]]
        arranged = pd.concat([piece.reset_index(drop=True) for piece in pieces], axis=1)
    return arranged, batch.num_inputs, batch.problems


def rename_ours(ours: list[str], kept: list[str]) -> dict[str, str]:
    """Return new names for columns of predictions whose names kept columns have."""
    taken, renamed = {*ours, *kept}, dict[str, str]()
    for name in ours:
        if name in kept:
            new = f"prediction_{name}"
            while new in taken:
                new = f"prediction_{new}"
            taken.add(new)
            renamed[name] = new
    return renamed


def _name_note(columns: pd.Index) -> str:
    return "prediction_warning" if "warning" in columns else "warning"


def tabulate(predictor: Predictor, inputs: list[Any], top: int, add: AddColumns | None = None) -> Rows:
    """Predict a batch of inputs, and return the rows.

    Args:
        predictor: the model.
        inputs: as of `predict_rows`.
        top: number of most probable classes to list.
        add: as of `predict_rows`.
    """
    items = [item if isinstance(item, Item) else Item(item) for item in inputs]
    chunk = [item.sample for item in items]
    try:
        tables = [_predict(predictor, good, top, add)] if (good := drop_bad(chunk)) else []
    except (DataError, OSError):  # find the bad inputs one by one
        chunk = [check_sample(predictor.codec, sample) for sample in chunk]
        tables = [_predict(predictor, good, top, add)] if (good := drop_bad(chunk)) else []
    problems = [item.problem for item in chunk if isinstance(item, BadInput)]
    table = tables[0] if tables else pd.DataFrame()
    num_good = len(chunk) - len(problems)
    table["prediction_error" if "error" in table else "error"] = ""  # a target may be called error
    each = len(table) // max(num_good, 1)  # number of rows of a good input
    table = _insert_bad(table, chunk) if problems else table
    owners = [item for item, sample in zip(items, chunk, strict=True) for _ in range(_count(sample, each))]
    _insert_origin(table, owners, whole=isinstance(predictor.codec, LabelCodec))
    kept = {name: pd.Series([item.kept[name] for item in owners], dtype=object) for name in items[0].kept}
    return Rows(table, len(chunk), problems, pd.DataFrame(kept) if kept else None)


def _count(sample: Any, each: int) -> int:
    return 1 if isinstance(sample, BadInput) else each


def _insert_origin(table: pd.DataFrame, owners: list[Item], *, whole: bool) -> None:
    """Write where the inputs come from into a table of predictions: before the error, or where the codec did.

    Args:
        table: the table, which is changed.
        owners: the input of each row.
        whole: whether columns of these names are the codec's short forms of the same, and not something else.
    """
    origin = owners[0].origin if owners else {}
    if whole and "input" in table and owners and owners[0].kept and "input" not in origin:  # it is kept
        del table["input"]
    for name in origin:
        cells = pd.Series([item.origin[name] for item in owners], table.index, dtype=object)
        if name in table:
            table[name] = cells if whole else table[name].where(table[name].notna(), cells)
        else:
            table.insert(len(table.columns) - 1 - (NOTE in table), name, cells)


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
