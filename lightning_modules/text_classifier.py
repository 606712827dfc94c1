"""Classification of texts."""

from lightning_modules.classifier import Classifier


class TextClassifier(Classifier):
    """A classifier of texts: word ids (B, T) int64 to logits (B, num_classes), or (B, 1) for two classes."""
