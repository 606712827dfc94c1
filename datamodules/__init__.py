"""One LightningDataModule for each raw format."""

from datamodules.base import DataModule
from datamodules.errors import BadInput, DataError
from datamodules.image_transforms import ImageTransforms
from datamodules.images import ImageDataModule
from datamodules.labelled import LabelledDataModule
from datamodules.series import SeriesDataModule
from datamodules.series_tables import SeriesColumns
from datamodules.text import TextDataModule
from datamodules.vocabulary import Vocabulary

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
