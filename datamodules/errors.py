"""Data that is not as expected: as an error, and as one input among others."""

from lightfit.errors import BadInput, DataError

__all__ = ["BadInput", "DataError"]
