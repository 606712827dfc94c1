"""How to read a table, where the file itself is not to decide."""

from dataclasses import dataclass
from typing import Literal

NO_QUOTE = "none"
MAX_COLUMNS = 2**16


@dataclass(frozen=True)
class TableOptions:
    """Options of a table; None: found from the file.

    Args:
        sheet: name of a sheet of a workbook, or its position from 0.
        delimiter: character between fields.
        quote: character around fields, or `none`: quotes are part of the text.
        encoding: encoding of the text, such as utf-8, cp1252 or gb18030.
        header: whether the first row holds the names of the columns.
        on_error: `raise`, or `skip` rows that cannot be read.
        max_columns: largest number of columns.

    Raises:
        ValueError: a value makes no sense.
    """

    sheet: str | int | None = None
    delimiter: str | None = None
    quote: str | None = None
    encoding: str | None = None
    header: bool | None = None
    on_error: Literal["raise", "skip"] = "raise"
    max_columns: int = MAX_COLUMNS

    def __post_init__(self) -> None:
        if self.delimiter is not None:
            object.__setattr__(self, "delimiter", {"\\t": "\t", "tab": "\t"}.get(self.delimiter, self.delimiter))
            if len(self.delimiter) != 1 or self.delimiter in "\r\n":
                raise ValueError(f"expected `delimiter` as one character, such as ';', received {self.delimiter!r}")
        if self.quote is not None and self.quote != NO_QUOTE and (len(self.quote) != 1 or self.quote in "\r\n"):
            raise ValueError(f"expected `quote` as one character or '{NO_QUOTE}', received {self.quote!r}")
        if self.delimiter is not None and self.delimiter == self.quote:
            raise ValueError(
                f"`delimiter` and `quote` are both {self.quote!r}: choose another `quote`, or '{NO_QUOTE}'"
            )
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except (LookupError, ValueError) as error:
                raise ValueError(
                    f"expected `encoding` as a name such as utf-8, cp1252 or gb18030, received {self.encoding!r}"
                ) from error
        if self.on_error not in ("raise", "skip"):
            raise ValueError(f"expected `on_error` raise or skip, received {self.on_error!r}")


AS_FOUND = TableOptions()
