"""Images to predict: files, folders, and names on standard input."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from datamodules.errors import BadInput, DataError
from datamodules.image_files import is_image


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
