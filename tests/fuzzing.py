"""Feeds damaged files to a decoder of raw data: `python tests/fuzzing.py images|texts|series COUNT [SEED]`.

Inputs are valid files with bytes changed, cut, doubled and mixed. A finding is an input for which the decoder does not
raise one of its documented errors: another exception, an empty message, or more than ten seconds.
"""

import io
import os
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from PIL import Image

from lightfit.datamodules import SeriesDataModule
from lightfit.datamodules.images.decoding import decode
from lightfit.datamodules.text.sources import read_path
from lightfit.errors import DataError

SAID = (DataError, LookupError)  # LookupError itself, not a subclass: a missing column
SLOW_S = 10.0
SPLICES = (
    b"\x00",
    b"\xff" * 9,
    b'"',
    b"\n",
    b"\r",
    b",",
    b"9" * 30,
    b"1e999",
    b"nan",
    b"\xef\xbb\xbf",
    b"\\u0000",
    b"{",
    b"[",
)


def images() -> list[bytes]:
    """Make small images in all formats that are read."""
    found = []
    for mode, fmt in (("RGB", "JPEG"), ("L", "JPEG"), ("RGB", "PNG"), ("P", "PNG"), ("RGBA", "PNG"), ("I;16", "PNG")):
        pixels = np.random.default_rng(0).integers(0, 255, (9, 7, 3)).astype(np.uint8)
        image = Image.fromarray(pixels).convert("L" if mode == "I;16" else mode).convert(mode)
        image.save(buffer := io.BytesIO(), fmt)
        found.append(buffer.getvalue())
    for fmt in ("BMP", "GIF", "TIFF", "WEBP", "PPM"):
        Image.fromarray(pixels).save(buffer := io.BytesIO(), fmt)
        found.append(buffer.getvalue())
    return found


def texts() -> list[bytes]:
    """Make tables of labelled texts; the first byte selects the ending of the file."""
    rows = b'text,label\n"a, good film",pos\na bad film,neg\n"two\nlines",pos\n'
    lines = b'{"text": "a good film", "label": "pos"}\n{"text": "\\u00e9", "label": "neg"}\n'
    return [b"c" + rows, b"t" + rows.replace(b",", b"\t"), b"j" + lines]


def series() -> list[bytes]:
    """Make tables of time series."""
    hours = "\n".join(f"2024-01-0{1 + hour // 24} {hour % 24:02d}:00,{hour},{hour * 0.5}" for hour in range(96))
    days = "\n".join(f"{1 + day % 28:02d}.{1 + day // 28:02d}.2024;a;{day},5" for day in range(28))
    zones = "\n".join(f"2024-01-{day:02d}T00:00:00+01:00\t{day}" for day in range(1, 25))
    tables = [f"date,load,wind\n{hours}\n", f"time;name;value\n{days}\n", f"date\tx\n{zones}\n"]
    return [table.encode() for table in tables]


def read_image(data: bytes) -> None:
    """Read an image, as from a folder."""
    pixels = decode(data)
    assert pixels.ndim == 3
    assert pixels.shape[0] == 3


def read_texts(data: bytes) -> None:
    """Read a table of texts, as by --data.source."""
    path = FOLDER / f"a.{ {b't': 'tsv', b'j': 'jsonl'}.get(data[:1], 'csv') }"
    path.write_bytes(data[1:])
    for text in read_path(path, "text", "label").splits["train"]:
        text.text.encode()


def read_series(data: bytes) -> None:
    """Read a table of series, as by --data.path."""
    path = FOLDER / "a.csv"
    path.write_bytes(data)
    SeriesDataModule(str(path), fill="mask", on_duplicate="last").load(str(path))


DECODERS: dict[str, tuple[Callable[[], list[bytes]], Callable[[bytes], None]]] = {
    "images": (images, read_image),
    "texts": (texts, read_texts),
    "series": (series, read_series),
}
FOLDER = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))


def damage(good: list[bytes], rng: random.Random) -> bytes:
    """Return a valid input, changed at one or several positions."""
    data = bytearray(rng.choice(good))
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        place = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[place % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[place % len(data)] = rng.randrange(256)
        elif kind == 2:
            data[place:place] = rng.choice(SPLICES)
        elif kind == 3:
            del data[place : place + rng.randrange(1, 20)]
        elif kind == 4:
            data[place:place] = data[place : place + rng.randrange(1, 60)]
        else:
            other = rng.choice(good)
            data[place:] = other[rng.randrange(len(other)) :]
    return bytes(data)


def fuzz(name: str, num_inputs: int, seed: int = 0) -> list[str]:
    """Return the findings among a number of inputs."""
    good, read = DECODERS[name]
    inputs, rng, found = good(), random.Random(seed), []
    for data in inputs:
        read(data)  # valid inputs are read
    for index in range(num_inputs):
        data = damage(inputs, rng)
        started = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(data)
        except Exception as error:
            if not (isinstance(error, SAID) and type(error) not in (KeyError, IndexError) and str(error)):
                found.append(f"{index}: {type(error).__name__}: {str(error)[:200]} for {data[:300]!r}")
        if time.monotonic() - started > SLOW_S:
            found.append(f"{index}: {time.monotonic() - started:.0f} s for {data[:300]!r}")
    return found


if __name__ == "__main__":
    findings = fuzz(sys.argv[1], int(sys.argv[2]), *map(int, sys.argv[3:4]))
    kinds = {finding.split(" for ")[0].split(": ", 1)[1] for finding in findings}
    print(f"{sys.argv[1]}: {int(sys.argv[2]):,} inputs, {len(findings)} findings of {len(kinds)} kinds")
    print("\n".join(findings[:40]))
