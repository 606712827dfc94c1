"""Rows of Parquet and Arrow files, some thousand at a time."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

import pyarrow as pa

from lightfit.errors import DataError, clip

from .content import Content, on_disk
from .table import Row, Table, check_width

PARQUET, ARROW, FEATHER = b"PAR1", b"ARROW1", b"FEA1"
STREAM = b"\xff\xff\xff\xff"  # of Arrow's streams, as data sets of Hugging Face are cached
BATCH_ROWS = 2048
SAMPLE_ROWS = 100  # of which texts and labels are told apart


def is_columnar(start: bytes, suffix: str) -> bool:
    """Return whether a file is Parquet or Arrow, by its first bytes."""
    return start.startswith((PARQUET, ARROW, FEATHER)) or (start.startswith(STREAM) and suffix in (".arrow", ""))


def open_columnar(content: Content) -> Table:
    """Open a Parquet, Arrow or Feather file as a table, with cells of their types.

    The names of classes that Hugging Face writes beside numbers take their place, and -1 means no label.

    Raises:
        DataError: the file is damaged, or has too many columns.
    """
    import pyarrow.parquet as pq  # imported where it is needed, as it takes a twentieth of a second

    kind = "Parquet" if content.read_start(4) == PARQUET else "Arrow"
    with _explain(content.name), _open(content) as file:
        schema: pa.Schema = file.schema_arrow if isinstance(file, pq.ParquetFile) else file.schema
        num_columns = len(schema.names)
        check_width(content.name, num_columns)
        classes = read_class_names(schema)
    keep = [index for index, name in enumerate(schema.names) if not name.startswith("__index_level_")]
    names = [schema.names[index] for index in keep]

    def read(positions: Sequence[int]) -> Iterator[Row | DataError]:
        row = 0
        wanted = [keep[position] for position in positions]
        decode = [classes.get(names[position]) for position in positions]
        with _explain(content.name), _open(content) as file:
            for batch in _batches(file, wanted):
                columns = []
                for column, of_class in zip(batch, decode, strict=True):
                    cells = column.to_pylist()
                    columns.append([name_class(cell, of_class) for cell in cells] if of_class else cells)
                for cells in zip(*columns, strict=True):
                    row += 1
                    yield Row(f"{content.name}, row {row}", list(cells))

    found = f"{kind} ({content.compression})" if content.compression else kind
    first = (item for item in read(range(len(keep))) if isinstance(item, Row))
    sample = [item.cells for item in islice(first, SAMPLE_ROWS)]
    return Table(content.name, names, True, found, sample, read)


@contextmanager
def _open(content: Content) -> Iterator[Any]:
    """Yield a Parquet file, or a reader of an Arrow file or stream."""
    import pyarrow.parquet as pq
    from pyarrow import feather

    with on_disk(content) as path:
        start = content.read_start(8)
        if start.startswith(PARQUET):
            with pq.ParquetFile(path) as file:
                yield file
        elif start.startswith(FEATHER):
            yield feather.read_table(path)
        else:
            with pa.OSFile(str(path)) as source:
                open_ = pa.ipc.open_file if start.startswith(ARROW) else pa.ipc.open_stream
                yield open_(source)


def _batches(file: Any, wanted: Sequence[int]) -> Iterator[list[pa.Array]]:
    if hasattr(file, "iter_batches"):
        names = [file.schema_arrow.names[index] for index in wanted]
        for batch in file.iter_batches(BATCH_ROWS, columns=list(dict.fromkeys(names)), use_threads=False):
            yield [batch.column(name) for name in names]
    elif isinstance(file, pa.ipc.RecordBatchFileReader):
        for index in range(file.num_record_batches):
            yield from _cut(file.get_batch(index), wanted)
    else:
        for batch in file.to_batches() if isinstance(file, pa.Table) else file:
            yield from _cut(batch, wanted)


def _cut(batch: pa.RecordBatch, wanted: Sequence[int]) -> Iterator[list[pa.Array]]:
    for start in range(0, batch.num_rows, BATCH_ROWS):
        yield [batch.column(index).slice(start, BATCH_ROWS) for index in wanted]


def read_class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the names of classes by column, as Hugging Face's datasets writes them into a file."""
    found = {}
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        for name, feature in json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"].items():
            item = feature[0] if isinstance(feature, list) and feature else feature
            item = item.get("feature", item) if isinstance(item, dict) else item  # of a list of classes
            if isinstance(item, dict) and item.get("_type") == "ClassLabel" and item.get("names"):
                found[name] = [str(of_class) for of_class in item["names"]]
    return found


def name_class(cell: Any, names: list[str]) -> Any:
    """Return the name of a class, or those of a list of them, by its number; None for -1, no label."""
    if isinstance(cell, list):
        return [name_class(item, names) for item in cell]
    if not isinstance(cell, int) or isinstance(cell, bool) or cell >= len(names):
        return cell
    return names[cell] if cell >= 0 else None


@contextmanager
def _explain(name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        why = clip(" ".join(str(error).split()), 100)
        raise DataError(f"'{name}' cannot be read ({why}): it is damaged or cut off; download it again") from error
