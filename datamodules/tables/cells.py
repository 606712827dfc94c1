"""What a cell holds: a text, or nothing."""

from typing import Any

from lightfit.errors import DataError, clip


def is_empty(cell: Any) -> bool:
    """Return whether a cell holds nothing: None, NaN, or a text of blanks; of a list or dict: whether all do."""
    if isinstance(cell, (list, dict)):
        return all(map(is_empty, cell.values() if isinstance(cell, dict) else cell))
    return cell is None or cell != cell or (isinstance(cell, str) and not cell.strip())


def check_text(text: Any, place: str, *, loose: bool = False) -> str:
    """Return the text of a cell if it is a valid sample.

    Args:
        text: the cell.
        place: its place, for the message.
        loose: whether a number stands for its text, as in a spreadsheet.

    Raises:
        DataError: it is not a string, is empty, or holds characters that are no text.
    """
    if loose and text is not None and not isinstance(text, (str, bool)):
        text = str(text)
    if not isinstance(text, str) or not text.strip():
        said = "empty" if is_empty(text) else clip(text)
        raise DataError(f"{place}: the text is {said}; expected words: correct or delete the row")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            code = ord(text[error.start])
            what = (
                f"not UTF-8 (byte 0x{code - 0xDC00:02x})"
                if 0xDC80 <= code <= 0xDCFF
                else f"half a character, {code:#x}"
            )
            raise DataError(
                f"{place}: {what}; expected a text in UTF-8: save it as such, or set `encoding` to the one that it was "
                "saved with, such as cp1252 or gb18030"
            ) from error
    return text
