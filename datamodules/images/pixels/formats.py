"""The formats of images: recognised by their content, or by the endings of their names."""

import re
from collections.abc import Callable

JPEG, PNG, GIF, BMP, TIFF, WEBP = "JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"
AVIF, HEIC, JPEG_2000, PNM, QOI = "AVIF", "HEIC", "JPEG 2000", "PNM", "QOI"
DICOM, NPY = "DICOM", "NPY"

# Endings of the files that can be read, in lower case. Files are decoded by content, so a wrong ending does no harm.
IMAGE_SUFFIXES: tuple[str, ...] = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    *(".png", ".apng", ".gif", ".webp", ".avif", ".qoi", ".tga"),
    *(".bmp", ".dib", ".tif", ".tiff"),
    *(".jp2", ".j2k", ".j2c", ".jpc", ".jpx", ".jpf"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".pfm"),
    *(".heic", ".heif", ".hif"),  # by pillow-heif
    *(".dcm", ".dicom"),  # by pydicom
    ".npy",  # arrays (H, W) or (H, W, C)
)

_SUFFIXES = frozenset(IMAGE_SUFFIXES)

START = 132  # number of bytes by which every format is recognised; all but DICOM by 64

_STARTS = (
    (JPEG, b"\xff\xd8\xff"),
    (PNG, b"\x89PNG\r\n\x1a\n"),
    (GIF, b"GIF87a"),
    (GIF, b"GIF89a"),
    (TIFF, b"II*\0"),
    (TIFF, b"MM\0*"),
    (TIFF, b"II+\0"),
    (TIFF, b"MM\0+"),
    (JPEG_2000, b"\0\0\0\x0cjP  \r\n\x87\n"),
    (JPEG_2000, b"\xff\x4f\xff\x51"),
    (QOI, b"qoif"),
    (NPY, b"\x93NUMPY"),
)
# Major and compatible brands of the ISO base media file format. Sources: ISO/IEC 23008-12 (HEIF), AVIF 1.1 of AOMedia.
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})  # bytes; a text may begin with BM too
_PNM = re.compile(rb"(P[1-6]\s+[#0-9]|P[fF]\s+[0-9])")


def sniff(data: bytes) -> str | None:
    """Return the name of an image format by the first `START` bytes of a file; None: it is none that is known.

    Targa images have no sign in their first bytes, and are None.
    """
    for name, start in _STARTS:
        if data.startswith(start):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WEBP
    if data[4:8] == b"ftyp":
        end = min(int.from_bytes(data[:4], "big"), 64)
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
        if _AVIF_BRANDS.intersection(brands):
            return AVIF
        return HEIC if _HEIC_BRANDS.intersection(brands) else None
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return BMP
    if data[128:132] == b"DICM":
        return DICOM
    return PNM if _PNM.match(data) else None


def is_image_content(data: bytes) -> bool:
    """Return whether a file holds an image, by its first `START` bytes."""
    return sniff(data) is not None


def has_image_suffix(name: str) -> bool:
    """Return whether a name has the ending of an image."""
    stem, _, ending = name.rpartition("/")[2].rpartition(".")  # pathlib takes ten times as long, for each of many files
    return bool(stem) and f".{ending.lower()}" in _SUFFIXES


def is_image_file(name: str, read_start: Callable[[], bytes]) -> bool:
    """Return whether a file of a folder is an image: by its ending, or without one by its content; never if hidden.

    Args:
        name: name of the file, perhaps with folders before it.
        read_start: returns at least the first `START` bytes of the file.
    """
    own = name.rpartition("/")[2]
    if own.startswith("."):
        return False
    return has_image_suffix(own) or ("." not in own and is_image_content(read_start()))
