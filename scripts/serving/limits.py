"""Limits of batches and requests."""

from typing import NamedTuple

from ..inference.pixel_limits import DEFAULT_LIMITS, PixelLimits


class Limits(NamedTuple):
    """Limits of batches and requests; a few bytes may otherwise keep a server busy for minutes.

    Args:
        max_batch_size: as in `Batcher`.
        wait_s: as in `Batcher`.
        max_bytes: largest size of a request, in bytes.
        max_inputs: largest number of inputs in a request.
        pixels: limits of the pixels of images.
        max_text_chars: largest number of characters of one text.
        max_columns: largest number of columns of a table.
        max_cells: largest number of cells, rows times columns, of a table in a Parquet file or a workbook.
        max_unpacked_bytes: largest size of a compressed table when it is unpacked.
        max_parts: largest number of parts of a form.
        max_requests: largest number of requests that are received or predicted at the same time.
        header_s: seconds until the headers of a request are complete.
        body_s: seconds until the body of a request is complete.
        answer_s: seconds until the answer, from the end of the body on; and that a client may read nothing of it.
    """

    max_batch_size: int
    wait_s: float
    max_bytes: int
    max_inputs: int
    pixels: PixelLimits = DEFAULT_LIMITS
    max_text_chars: int = 100_000
    max_columns: int = 5000
    max_cells: int = 5_000_000
    max_unpacked_bytes: int = 100 * 2**20
    max_parts: int = 1000
    max_requests: int = 256
    header_s: float = 10
    body_s: float = 60
    answer_s: float = 60
