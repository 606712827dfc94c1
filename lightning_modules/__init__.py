"""LightModel, its subclasses for each domain, and the nets they wrap."""

from typing import TYPE_CHECKING

import lightfit  # noqa: F401 - first: in a clone it makes this and `lightfit.lightning_modules` one package
from lightfit.lazy import lazy_names

if TYPE_CHECKING:
    from .classifier import Classifier, ImageClassifier, TextClassifier
    from .finetuning import FineTuning, load_pretrained
    from .forecaster import SeriesForecaster
    from .light_model import LightModel
    from .multi_label import MultiLabelClassifier
    from .regressor import Regressor
    from .supervised import SupervisedModel
    from .weights import load_weights, save_best_weights, save_weights

__all__ = [
    "Classifier",
    "FineTuning",
    "ImageClassifier",
    "LightModel",
    "MultiLabelClassifier",
    "Regressor",
    "SeriesForecaster",
    "SupervisedModel",
    "TextClassifier",
    "load_pretrained",
    "load_weights",
    "save_best_weights",
    "save_weights",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".classifier": "Classifier ImageClassifier TextClassifier",
        ".finetuning": "FineTuning load_pretrained",
        ".forecaster": "SeriesForecaster",
        ".light_model": "LightModel",
        ".multi_label": "MultiLabelClassifier",
        ".regressor": "Regressor",
        ".supervised": "SupervisedModel",
        ".weights": "load_weights save_best_weights save_weights",
    },
)
