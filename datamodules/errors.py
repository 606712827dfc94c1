"""Data that is not as expected: as an error, and as one input among others."""

from typing import NamedTuple


class DataError(ValueError):
    """What a file holds is wrong, as against what an argument asks for; the message names the file and the place."""


class BadInput(NamedTuple):
    """An input from which nothing can be predicted, in its place among the others."""

    problem: str  # what is wrong, with the place
