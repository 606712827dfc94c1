"""One LightningDataModule for each raw format."""

from datamodules.base import DataModule
from datamodules.errors import DataError
from datamodules.text import TextDataModule
from datamodules.vocabulary import Vocabulary

__all__ = ["DataError", "DataModule", "TextDataModule", "Vocabulary"]
