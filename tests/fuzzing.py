"""Feeds damaged files to a decoder of raw data: `python tests/fuzzing.py images|texts|series NUMBER [SEED]`.

Inputs are good files with bytes changed, cut, doubled and mixed. A finding is an input for which the decoder does not
say what is wrong in an error of its own: another exception, a message that is empty, or more than ten seconds.
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

from lightfit.datamodules.images.decoding import decode
from lightfit.datamodules.series.table import SeriesColumns, choose_roles, parse_frame, split_series
from lightfit.datamodules.text.sources import read_table
from lightfit.errors import DataError

SAID = (DataError, LookupError)  # a LookupError itself: a column that is not there
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
    """Small pictures in the formats that are read."""
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
    """Tables of labelled texts; the first byte says which ending the file gets."""
    rows = b'text,label\n"a, good film",pos\na bad film,neg\n"two\nlines",pos\n'
    lines = b'{"text": "a good film", "label": "pos"}\n{"text": "\\u00e9", "label": "neg"}\n'
    return [b"c" + rows, b"t" + rows.replace(b",", b"\t"), b"j" + lines]


def series() -> list[bytes]:
    """Tables of numbers over time."""
    hours = "\n".join(f"2024-01-01 {hour:02d}:00,{hour},{hour * 0.5}" for hour in range(9))
    days = "\n".join(f"2024-01-0{day};a;{day}" for day in range(1, 9))
    return [f"date,load,wind\n{hours}\n".encode(), f"time;name;value\n{days}\n".encode(), b"date\tx\n2024-01-01\t1\n"]


def read_image(data: bytes) -> None:
    """As a file of a folder."""
    pixels = decode(data)
    assert pixels.ndim == 3
    assert pixels.shape[0] == 3


def read_texts(data: bytes) -> None:
    """As a file that --data.source names."""
    path = FOLDER / f"a.{ {b't': 'tsv', b'j': 'jsonl'}.get(data[:1], 'csv') }"
    path.write_bytes(data[1:])
    for text in read_table(path, "text", "label"):
        assert text.label
        text.text.encode()


def read_series(data: bytes) -> None:
    """As a file that --data.path names."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return
    table = parse_frame(text, "a.csv")
    roles = choose_roles(table, [], SeriesColumns(), "a.csv")
    split_series(table, time=roles.time, series_id=roles.series_id, values=roles.values, place="a.csv")


DECODERS: dict[str, tuple[Callable[[], list[bytes]], Callable[[bytes], None]]] = {
    "images": (images, read_image),
    "texts": (texts, read_texts),
    "series": (series, read_series),
}
FOLDER = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))


def damage(good: list[bytes], chance: random.Random) -> bytes:
    """A good input, changed in one place or some."""
    data = bytearray(chance.choice(good))
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        place = chance.randrange(len(data) + 1)
        kind = chance.randrange(6)
        if kind == 0 and data:
            data[place % len(data)] ^= 1 << chance.randrange(8)
        elif kind == 1 and data:
            data[place % len(data)] = chance.randrange(256)
        elif kind == 2:
            data[place:place] = chance.choice(SPLICES)
        elif kind == 3:
            del data[place : place + chance.randrange(1, 20)]
        elif kind == 4:
            data[place:place] = data[place : place + chance.randrange(1, 60)]
        else:
            other = chance.choice(good)
            data[place:] = other[chance.randrange(len(other)) :]
    return bytes(data)


def fuzz(name: str, number: int, seed: int = 0) -> list[str]:
    """The findings among so many inputs."""
    good, read = DECODERS[name]
    inputs, chance, found = good(), random.Random(seed), []
    for data in inputs:
        read(data)  # a good one is read
    for count in range(number):
        data = damage(inputs, chance)
        begun = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(data)
        except Exception as error:
            if not (isinstance(error, SAID) and type(error) not in (KeyError, IndexError) and str(error)):
                found.append(f"{count}: {type(error).__name__}: {str(error)[:200]} for {data[:300]!r}")
        if time.monotonic() - begun > SLOW_S:
            found.append(f"{count}: {time.monotonic() - begun:.0f} s for {data[:300]!r}")
    return found


if __name__ == "__main__":
    findings = fuzz(sys.argv[1], int(sys.argv[2]), *map(int, sys.argv[3:4]))
    kinds = {finding.split(" for ")[0].split(": ", 1)[1] for finding in findings}
    print(f"{sys.argv[1]}: {int(sys.argv[2]):,} inputs, {len(findings)} findings of {len(kinds)} kinds")
    print("\n".join(findings[:40]))
