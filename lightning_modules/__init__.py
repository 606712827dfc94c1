"""LightModel, its subclasses for each domain, and the nets they wrap."""

import lightfit  # noqa: F401 - first: in a clone it makes this and `lightfit.lightning_modules` one package

from .classifier import Classifier, ImageClassifier, TextClassifier
from .finetuning import FineTuning, load_pretrained
from .forecaster import SeriesForecaster
from .light_model import LightModel
from .weights import load_weights, save_best_weights, save_weights

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
