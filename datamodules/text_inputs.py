"""Texts to predict: from the command line, files and standard input."""

import sys
from pathlib import Path

from datamodules.tables import SUFFIXES, check_lines, read_lines, read_table

TEXT_FILES = (*SUFFIXES, ".txt")


def read_texts(inputs: list[str], column: str | int) -> list[str]:
    """The texts that arguments stand for, in order: a text itself, a file of lines, a table, or `-`, standard input.

    An argument without blanks that ends like a file is one: a mistyped name is no text.

    Args:
        inputs: the arguments.
        column: the texts' column in a table, as in `tables.read_table`.

    Raises:
        FileNotFoundError: an argument looks like a file and there is none.
        LookupError: a table has no such column.
        DataError: a file is empty, not UTF-8 or has an empty text.
    """
    texts: list[str] = []
    for item in inputs:
        suffix = "" if " " in item else Path(item).suffix.lower()
        if item == "-":
            texts += check_lines(sys.stdin.read().splitlines(), "standard input")
        elif suffix in SUFFIXES:
            texts += read_table(Path(item), column).texts
        elif suffix in TEXT_FILES:
            texts += read_lines(Path(item))
        else:
            texts += check_lines([item], f"the input '{item}'")
    return texts
