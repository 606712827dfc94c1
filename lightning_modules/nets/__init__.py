"""Plain torch modules; each works without LightFit."""

from lightning_modules.nets.fast_res_net import FastResNet
from lightning_modules.nets.growth_lstm import GrowthLSTM
from lightning_modules.nets.image_cnn import ImageCNN, LayeredCNN, sequential_cnn
from lightning_modules.nets.linear_forecasters import DLinear, NLinear
from lightning_modules.nets.naive_bayes_bag import NaiveBayesBag
from lightning_modules.nets.patch_transformer import PatchTransformer
from lightning_modules.nets.sparse_tsf import SparseTSF
from lightning_modules.nets.text_cnn import TextCNN
from lightning_modules.nets.torchvision_net import TorchvisionNet

__all__ = [
    "DLinear",
    "FastResNet",
    "GrowthLSTM",
    "ImageCNN",
    "LayeredCNN",
    "NLinear",
    "NaiveBayesBag",
    "PatchTransformer",
    "SparseTSF",
    "TextCNN",
    "TorchvisionNet",
    "sequential_cnn",
]
