"""LightModel, its subclasses for each domain, and the nets they wrap."""

from lightning_modules.classifier import Classifier
from lightning_modules.finetuning import FineTuning
from lightning_modules.image_classifier import ImageClassifier
from lightning_modules.light_model import LightModel
from lightning_modules.pretrained import load_pretrained
from lightning_modules.series_forecaster import SeriesForecaster
from lightning_modules.text_classifier import TextClassifier
from lightning_modules.weights import load_weights, save_best_weights, save_weights

__all__ = [
    "Classifier",
    "FineTuning",
    "ImageClassifier",
    "LightModel",
    "SeriesForecaster",
    "TextClassifier",
    "load_pretrained",
    "load_weights",
    "save_best_weights",
    "save_weights",
]
