"""Plain nets: torch alone, no Lightning."""

from lightning_modules.nets.naive_bayes_bag import NaiveBayesBag
from lightning_modules.nets.text_cnn import TextCNN

__all__ = ["NaiveBayesBag", "TextCNN"]
