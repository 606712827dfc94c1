"""Inputs of images: files, folders, names on standard input, base64, uploads."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from lightfit.datamodules.images.decoding import decode
from lightfit.datamodules.images.files import is_image

from .files import FileInputs


class ImageInputs(FileInputs):
    """Read images: a sample is a `Path`, or a decoded image (3, H, W) uint8."""

    key: ClassVar[str] = "images"
    name: ClassVar[str] = "image"
    content: ClassVar[str] = "an image file"
    empty: ClassVar[str] = "holds no images; expected .jpg, .png, .webp, .bmp or the like"

    def find(self, folder: Path) -> Iterator[Path]:
        """Yield the images below a folder, in any order."""
        return (file for file in folder.rglob("*") if file.is_file() and is_image(file.name))

    def decode(self, name: str, content: bytes) -> Tensor:
        """Return the image of an uploaded file, (3, H, W) uint8.

        Raises:
            DataError: the file is no image.
        """
        return decode(content)
