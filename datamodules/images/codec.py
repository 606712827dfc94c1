"""What is known of images once the training part was read: size, normalisation, classes; and images by them alone."""

import base64
import binascii
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightfit.errors import BadInput, CheckpointError, DataError, NotFoundError

from ..base import LabelledDataModule
from .decoding import MAX_PIXELS, decode, decode_file
from .files import is_image
from .transforms import ImageTransforms, Size


def stream_images(inputs: Sequence[str]) -> Iterator[Path | BadInput]:
    """The image files that arguments stand for, in order.

    An argument is a file itself, a folder, for all images below it, sorted, or `-`: a file's name on each line of
    standard input.

    Raises:
        FileNotFoundError: there is no such file or folder.
        DataError: a folder holds no images.
    """
    for item in inputs:  # before the first is predicted: a slip in the last costs nothing then
        if item != "-" and not Path(item).exists():
            raise FileNotFoundError(f"no image or folder at '{item}' (looked from '{Path.cwd()}')")
        if Path(item).is_dir() and not any(_below(Path(item))):
            raise DataError(f"'{item}' holds no images; expected .jpg, .png, .webp, .bmp or the like")
    return _stream(inputs)


def _stream(inputs: Sequence[str]) -> Iterator[Path | BadInput]:
    for item in inputs:
        if item == "-":
            for line in sys.stdin:
                file = Path(line.rstrip("\r\n"))
                yield file if file.is_file() else BadInput(f"no file at '{file}' (looked from '{Path.cwd()}')")
        elif Path(item).is_dir():
            yield from sorted(_below(Path(item)))
        else:
            yield Path(item)


def _below(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file() and is_image(file.name))


class ImageEncodingDataModule(LabelledDataModule):
    """Images whose size and classes are known, as from a checkpoint."""

    transforms: ImageTransforms
    _class_names: tuple[str, ...] | list[str] = ()
    _size: Size | None = None

    @property
    def class_names(self) -> list[str]:
        """The names of the classes, sorted; reads the data the first time."""
        if not self._class_names:
            self.setup()
        return list(self._class_names)

    @property
    def image_size(self) -> Size:
        """Height and width of what the net gets, in pixels; reads the data the first time."""
        if self._size is None:
            self.setup()
        assert self._size is not None
        return self._size

    def encode(self, samples: Sequence[Path | Tensor]) -> Tensor:
        """Image files, or decoded images (3, H, W) uint8, to pixels (B, 3, h, w) float32, as in validation.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: a file is no image.
        """
        size = self.image_size
        decoded = (decode_file(sample) if isinstance(sample, Path) else sample for sample in samples)
        images = [self.transforms.in_evaluation(pixels, size) for pixels in decoded]
        return self.transforms.normalise(torch.stack(images))

    @property
    def request_schema(self) -> dict[str, Any]:
        """`{"images": [...]}`, each a file in base64."""
        images = {"type": "array", "items": {"type": "string", "format": "byte"}, "minItems": 1}
        return {"type": "object", "required": ["images"], "properties": {"images": images}}

    def from_request(self, body: dict[str, Any]) -> list[Tensor | BadInput]:
        """The images of `{"images": [...]}`, (3, H, W) uint8 each."""
        images = body.get("images")
        if not isinstance(images, list) or not images or not all(isinstance(image, str) for image in images):
            raise DataError('expected {"images": ["..."]}, a list of at least one image file in base64, or an upload')
        return [_decoded(f"image {number}", image) for number, image in enumerate(images, 1)]

    def from_upload(self, name: str, content: bytes) -> list[Tensor | BadInput]:
        """The image of a file."""
        return [_decoded(name, content)]

    def metadata(self) -> dict[str, Any]:
        """Classes, size and normalisation of colours in [0, 1].

        An image is scaled till it just covers `border` times the size, and the centre is cut out.
        """
        height, width = self.image_size
        return {
            "domain": "images",
            "class_names": self.class_names,
            "height": height,
            "width": width,
            "border": self.transforms.border,
            "mean": list(self.transforms.mean),
            "std": list(self.transforms.std),
        }

    def example_batch(self) -> Tensor:
        """Pixels (2, 3, h, w) float32."""
        return torch.randn(2, 3, *self.image_size, generator=torch.Generator().manual_seed(0))

    def stream_inputs(self, inputs: list[str], column: str | int | None = None) -> Iterator[Path | BadInput]:
        """The image files that the arguments stand for; a folder stands for all images below it.

        Raises:
            LookupError: a column is named: images have none.
        """
        if column is not None:
            raise NotFoundError(f"images have no columns, received --column {column}: leave it out")
        return stream_images(inputs)

    def denormalise(self, x: Tensor) -> Tensor:
        """What the net gets, (B, 3, h, w), back to colours in [0, 1]."""
        return self.transforms.denormalise(x)

    def state_dict(self) -> dict[str, Any]:
        """Class names and the size that the net gets."""
        return {"class_names": list(self.class_names), "image_size": list(self.image_size)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes class names and size from a checkpoint."""
        self._class_names = list(state_dict["class_names"])
        height, width = state_dict["image_size"]
        if height * width > MAX_PIXELS:
            raise CheckpointError(
                f"the checkpoint's images have {height:,} x {width:,} pixels: it is damaged or forged"
            )
        self._size = height, width


def _decoded(name: str, content: bytes | str) -> Tensor | BadInput:
    """An image from a file's bytes, or from base64."""
    try:
        return decode(base64.b64decode(content, validate=True) if isinstance(content, str) else content)
    except binascii.Error as error:
        return BadInput(f"{name}: not base64 ({error}); expected an image file in base64")
    except DataError as error:
        return BadInput(f"{name}: {error}")
