"""One LightningDataModule for each raw format."""

from typing import TYPE_CHECKING

import lightfit  # noqa: F401 - first: in a clone it makes this and `lightfit.datamodules` one package
from lightfit.errors import BadInput, DataError
from lightfit.lazy import lazy_names

if TYPE_CHECKING:
    from .base import DataModule, LabelledDataModule
    from .images.datamodule import ImageDataModule
    from .images.transforms import ImageTransforms
    from .series.datamodule import SeriesDataModule
    from .series.table import SeriesColumns
    from .text.datamodule import TextDataModule
    from .text.vocabulary import Vocabulary

__all__ = [
    "BadInput",
    "DataError",
    "DataModule",
    "ImageDataModule",
    "ImageTransforms",
    "LabelledDataModule",
    "SeriesColumns",
    "SeriesDataModule",
    "TextDataModule",
    "Vocabulary",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".base": "DataModule LabelledDataModule",
        ".images.datamodule": "ImageDataModule",
        ".images.transforms": "ImageTransforms",
        ".series.datamodule": "SeriesDataModule",
        ".series.table": "SeriesColumns",
        ".text.datamodule": "TextDataModule",
        ".text.vocabulary": "Vocabulary",
    },
)
