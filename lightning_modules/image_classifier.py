"""Classification of images."""

from lightning_modules.classifier import Classifier


class ImageClassifier(Classifier):
    """A classifier of images: (B, 3, H, W) float32 to logits (B, num_classes), or (B, 1) for two classes."""
