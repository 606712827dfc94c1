"""Images to predict: files and folders."""

from pathlib import Path

from datamodules.errors import DataError
from datamodules.image_files import is_image


def find_inputs(inputs: list[str]) -> list[Path]:
    """The image files that arguments stand for, in order: a file itself, or all images below a folder, sorted.

    Raises:
        FileNotFoundError: there is neither.
        DataError: a folder holds no images.
    """
    found: list[Path] = []
    for item in inputs:
        path = Path(item)
        if path.is_dir():
            below = sorted(file for file in path.rglob("*") if file.is_file() and is_image(file.name))
            if not below:
                raise DataError(f"'{item}' holds no images; expected .jpg, .png, .webp, .bmp or the like")
            found += below
        elif path.is_file():
            found.append(path)
        else:
            raise FileNotFoundError(f"no image or folder at '{item}' (looked from '{Path.cwd()}')")
    return found
