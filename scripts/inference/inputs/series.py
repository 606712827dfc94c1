"""Inputs of series: tables in files, on standard input, and in requests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightfit.datamodules import SeriesCodec
from lightfit.datamodules.series.frame import Frame, frame_of_rows, frame_of_text, read_frame
from lightfit.datamodules.series.last_windows import LastWindow, NewRows
from lightfit.datamodules.tables.content import open_bytes
from lightfit.datamodules.tables.options import TableOptions
from lightfit.errors import BadInput, DataError, NotFoundError, UsageError

from .arguments import check_once, explain_missing, find_kind, open_stdin
from .protocol import Inputs, Item


class SeriesInputs(Inputs):
    """Read tables of series: a sample is the last window of a series.

    Args:
        codec: the codec, with columns and steps of the training.
        new: how the rows to forecast from are read.
        options: how tables are read.
    """

    def __init__(self, codec: SeriesCodec, new: NewRows = NewRows(), options: TableOptions = TableOptions()) -> None:
        self.codec = codec
        self.new = new
        self.options = options

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of `{"rows": [...]}`, the rows of a table."""
        state = self.codec.state
        roles, numbers = state.roles, {*state.columns}
        columns: dict[str, dict[str, Any]] = {name: {"type": "string"} for name in (*roles.time, *roles.series_id)}
        for name in (*roles.values, *roles.static):
            columns[name] = {"type": ["number", "null"] if name in numbers else ["string", "number", "boolean", "null"]}
        row = {"type": "object", "required": list(columns), "properties": columns}
        rows = {"type": "array", "items": row, "minItems": 1}
        return {"type": "object", "required": ["rows"], "properties": {"rows": rows}}

    def items(self, arguments: list[str], column: str | int | None = None, keep: str | None = None) -> Iterator[Item]:
        """Yield the last window of each series in the tables of arguments: a file, or `-` for a CSV on standard input.

        Of several tables, each has its name in the column `file`.

        Raises:
            LookupError: a column is given, but the columns are those of the training.
            UsageError: columns are to be kept, but forecasts are of rows that no table has yet; an argument is empty, a
                folder, or cannot be read twice.
            FileNotFoundError: a file does not exist.
        """
        if column is not None:
            raise NotFoundError(
                f"the columns of series are those of the training, received --column {column}: leave it out"
            )
        if keep is not None:
            raise UsageError(
                f"forecasts are rows after the end of a table, which have no cells to keep, received --keep {keep}: "
                "leave it out; join them by the columns of the series and of the time, which each row has"
            )
        check_once(arguments)
        for item in arguments:  # before the first prediction, so that a typo in the last argument is found at once
            kind = find_kind(item)
            if kind == "nothing":
                raise FileNotFoundError(explain_missing(item))
            if kind == "folder":
                raise UsageError(f"'{item}' is a folder: expected tables of series, so name its files")
        return self._stream(arguments)

    def _stream(self, arguments: list[str]) -> Iterator[Item]:
        for item in arguments:
            origin = {"file": item} if len(arguments) > 1 else {}
            try:
                if item == "-":
                    place = "standard input"
                    frame = frame_of_text(open_stdin(self.options.encoding).read(), place, self.options)
                else:
                    frame, place = read_frame(Path(item), self.options), item
                for sample in self.codec.last_windows(frame.table, place, self.new):
                    yield Item(sample, origin)
            except (DataError, LookupError) as error:
                yield Item(BadInput(str(error)), origin)

    def from_json(self, body: dict[str, Any]) -> list[LastWindow | BadInput]:
        """Return the last window of each series in `{"rows": [...]}`, a dict for each row of a table."""
        rows = body.get("rows")
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise DataError('expected {"rows": [{"column": value}]}, the rows of a table')
        return self._find_windows(frame_of_rows(rows, options=self.options), "the rows")

    def from_upload(self, name: str, content: bytes) -> list[LastWindow | BadInput]:
        """Return the last window of each series in an uploaded table of any format."""
        return self._find_windows(read_frame(open_bytes(name, content), self.options), name)

    def _find_windows(self, frame: Frame, place: str) -> list[LastWindow | BadInput]:
        try:
            return list(self.codec.last_windows(frame.table, place, self.new))
        except LookupError as error:
            raise DataError(str(error.args[0])) from error
