"""`pl.metrics` of Lightning 1.1, which torchmetrics has followed: a thin layer that finds the task from the inputs."""

from torchmetrics import ExplainedVariance, MeanAbsoluteError, MeanSquaredError, MeanSquaredLogError

from . import functional
from .classes import (
    AUROC,
    F1,
    PSNR,
    ROC,
    SSIM,
    Accuracy,
    AveragePrecision,
    ConfusionMatrix,
    FBeta,
    Metric,
    Precision,
    PrecisionRecallCurve,
    Recall,
)

__all__ = [
    "AUROC",
    "F1",
    "PSNR",
    "ROC",
    "SSIM",
    "Accuracy",
    "AveragePrecision",
    "ConfusionMatrix",
    "ExplainedVariance",
    "FBeta",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "MeanSquaredLogError",
    "Metric",
    "Precision",
    "PrecisionRecallCurve",
    "Recall",
    "functional",
]
