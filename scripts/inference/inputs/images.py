"""Inputs of images: files, folders, names on standard input, base64, uploads."""

import base64
import binascii
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from lightfit.datamodules.images.decoding import decode
from lightfit.datamodules.images.files import is_image
from lightfit.errors import BadInput, DataError, NotFoundError

from .protocol import Inputs


class ImageInputs(Inputs):
    """Read images: a sample is a `Path`, or a decoded image (3, H, W) uint8."""

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of `{"images": [...]}`, a list of image files in base64."""
        images = {"type": "array", "items": {"type": "string", "format": "byte"}, "minItems": 1}
        return {"type": "object", "required": ["images"], "properties": {"images": images}}

    def stream(self, arguments: list[str], column: str | int | None = None) -> Iterator[Path | BadInput]:
        """Yield the image files of arguments: an image, a folder, or `-` for names of images on standard input.

        Raises:
            LookupError: a column is given, but images have no columns.
            FileNotFoundError: an image or folder does not exist.
            DataError: a folder holds no images.
        """
        if column is not None:
            raise NotFoundError(f"images have no columns, received --column {column}: leave it out")
        for item in arguments:  # before the first prediction, so that a typo in the last argument is found at once
            if item != "-" and not Path(item).exists():
                raise FileNotFoundError(f"no image or folder at '{item}' (looked from '{Path.cwd()}')")
            if Path(item).is_dir() and not any(_find_images(Path(item))):
                raise DataError(f"'{item}' holds no images; expected .jpg, .png, .webp, .bmp or the like")
        return _stream(arguments)

    def from_json(self, body: dict[str, Any]) -> list[Tensor | BadInput]:
        """Return the images of `{"images": [...]}`, (3, H, W) uint8 each."""
        images = body.get("images")
        if not isinstance(images, list) or not images or not all(isinstance(image, str) for image in images):
            raise DataError('expected {"images": ["..."]}, a list of at least one image file in base64, or an upload')
        return [_decode(f"image {position}", image) for position, image in enumerate(images, 1)]

    def from_upload(self, name: str, content: bytes) -> list[Tensor | BadInput]:
        """Return the image of an uploaded file, (3, H, W) uint8."""
        return [_decode(name, content)]


def _stream(arguments: Sequence[str]) -> Iterator[Path | BadInput]:
    for item in arguments:
        if item == "-":
            for line in sys.stdin:
                file = Path(line.rstrip("\r\n"))
                yield file if file.is_file() else BadInput(f"no file at '{file}' (looked from '{Path.cwd()}')")
        elif Path(item).is_dir():
            yield from sorted(_find_images(Path(item)))
        else:
            yield Path(item)


def _find_images(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file() and is_image(file.name))


def _decode(name: str, content: bytes | str) -> Tensor | BadInput:
    try:
        return decode(base64.b64decode(content, validate=True) if isinstance(content, str) else content)
    except binascii.Error as error:
        return BadInput(f"{name}: not base64 ({error}); expected an image file in base64")
    except DataError as error:
        return BadInput(f"{name}: {error}")
