"""LightModel, its subclasses for each domain, and the nets they wrap."""

from lightning_modules.light_model import LightModel
from lightning_modules.text_classifier import TextClassifier

__all__ = ["LightModel", "TextClassifier"]
