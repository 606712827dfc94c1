"""Plain torch modules; each works without LightFit."""

from typing import TYPE_CHECKING

from lightfit.lazy import lazy_names

if TYPE_CHECKING:
    from .fast_res_net import FastResNet
    from .forecast_combination import ForecastCombination
    from .growth_lstm import GrowthLSTM
    from .image_cnn import ImageCNN, LayeredCNN, sequential_cnn
    from .linear_forecasters import DLinear, NLinear
    from .naive_bayes_bag import NaiveBayesBag
    from .named_net import NamedNet
    from .ngram_bag import NgramBag
    from .patch_transformer import PatchTransformer
    from .sparse_tsf import SparseTSF
    from .text_cnn import TextCNN
    from .timm_net import TimmNet
    from .torchvision_net import TorchvisionNet
    from .transformer_net import TransformerNet
    from .word_average import WordAverage
    from .word_vectors import WordEmbedding

__all__ = [
    "DLinear",
    "FastResNet",
    "ForecastCombination",
    "GrowthLSTM",
    "ImageCNN",
    "LayeredCNN",
    "NLinear",
    "NaiveBayesBag",
    "NamedNet",
    "NgramBag",
    "PatchTransformer",
    "SparseTSF",
    "TextCNN",
    "TimmNet",
    "TorchvisionNet",
    "TransformerNet",
    "WordAverage",
    "WordEmbedding",
    "sequential_cnn",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".fast_res_net": "FastResNet",
        ".forecast_combination": "ForecastCombination",
        ".growth_lstm": "GrowthLSTM",
        ".image_cnn": "ImageCNN LayeredCNN sequential_cnn",
        ".linear_forecasters": "DLinear NLinear",
        ".naive_bayes_bag": "NaiveBayesBag",
        ".named_net": "NamedNet",
        ".ngram_bag": "NgramBag",
        ".patch_transformer": "PatchTransformer",
        ".sparse_tsf": "SparseTSF",
        ".text_cnn": "TextCNN",
        ".timm_net": "TimmNet",
        ".torchvision_net": "TorchvisionNet",
        ".transformer_net": "TransformerNet",
        ".word_average": "WordAverage",
        ".word_vectors": "WordEmbedding",
    },
)
