"""Values of more than 8 bits as pixels: one rule for training, prediction, export and the server.

By type of the values, such as uint16, the values from `low` to `high` are divided into 256 bins of equal width:
`pixel = floor(256 (value - low) / (high - low))`, at most 255. `low` and `high` are

1. the type's range where it is used: 0 and the largest number of an unsigned integer, if a value is above half of it;
   0 and 1 of floats, if all values lie there and one is above one half;
2. otherwise the least and the largest value: of all training images, which the codec keeps, or of the image alone if
   there were no training images of its type. Signed integers, of which no range is used as a whole, are of this kind.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lightfit.errors import DataError

DICOM_VALUES = "DICOM"  # the type of values in the unit that a DICOM file defines, which are windowed by no file
TYPES = ("int8", *(f"{kind}{bits}" for kind in ("uint", "int", "float") for bits in (16, 32, 64)), DICOM_VALUES)
CHUNK = 2**20  # number of values to convert at once, so that no copy of a large image as float64 is made

Range = tuple[float, float]


def choose_range(type_name: str, low: float, high: float) -> Range:
    """Return the values that become 0 and 255, for values of a type from `low` to `high`; see the rule above."""
    if type_name.startswith("uint") and high > (top := float(np.iinfo(type_name).max)) / 2:
        return 0.0, top
    if type_name.startswith("float") and low >= 0 and 0.5 < high <= 1:
        return 0.0, 1.0
    if low < high:
        return low, high
    return (min(low, 0.0), max(high, 0.0)) if low else (0.0, 1.0)  # images of one value alone


def fit_intensity(ranges: Iterable[tuple[str, float, float]]) -> dict[str, Range]:
    """Return the values that become 0 and 255 by type, for `PixelFormat.intensity`.

    Args:
        ranges: type, least and largest value of each training image of more than 8 bits.
    """
    found: dict[str, Range] = {}
    for type_name, low, high in ranges:
        known = found.get(type_name, (low, high))
        found[type_name] = min(low, known[0]), max(high, known[1])
    return {type_name: choose_range(type_name, *found[type_name]) for type_name in sorted(found)}


def measure_range(values: NDArray) -> Range:
    """Return the least and the largest value.

    Raises:
        DataError: a value is NaN or infinite.
    """
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():  # NaN is the least and the largest value
        count = sum(int(np.count_nonzero(~np.isfinite(rows))) for rows in _chunks(values))
        raise DataError(
            f"{count:,} of {values.size:,} values are NaN or infinite: expected finite values; replace them, for "
            "example by the least of the others"
        )
    return low, high


def scale_values(values: NDArray, low: float, high: float) -> NDArray[np.uint8]:
    """Return values as pixels by the rule above, of the same shape."""
    if values.dtype.itemsize == 2 and values.dtype.kind in "ui":  # looked up, since there are few different values
        info = np.iinfo(values.dtype)
        table = _scale(np.arange(info.min, info.max + 1), low, high)
        return table[values.astype(np.int32) - info.min]
    pixels = np.empty(values.shape, np.uint8)
    for rows, out in zip(_chunks(values), _chunks(pixels), strict=True):
        out[...] = _scale(rows, low, high)
    return pixels


def _scale(values: NDArray, low: float, high: float) -> NDArray[np.uint8]:
    # The division comes last, so that values whose quotient is an integer are exact.
    scaled = (values.astype(np.float64) - low) * 256 / (high - low)
    return np.clip(np.floor(scaled), 0, 255).astype(np.uint8)


def _chunks(values: NDArray) -> Iterable[NDArray]:
    """Yield views of rows, with about `CHUNK` values in each."""
    step = max(CHUNK * len(values) // max(values.size, 1), 1)
    return (values[start : start + step] for start in range(0, len(values), step))
