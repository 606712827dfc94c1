"""Callbacks that watch a run: they change nothing in it."""

from typing import TYPE_CHECKING

import lightfit  # noqa: F401 - first: in a clone it makes this and `lightfit.callbacks` one package
from lightfit.errors import NonFiniteGradients, NonFiniteLoss, NonFiniteWeights, TrainingStopped
from lightfit.lazy import lazy_names

if TYPE_CHECKING:
    from .checkpoints.best_and_last import BestAndLast
    from .checkpoints.checkpoint_every import CheckpointEvery
    from .checkpoints.durable import DurableCheckpoints
    from .checkpoints.early_stopping import EarlyStopping
    from .checkpoints.exact_resume import ExactResume
    from .checkpoints.stop_on_signal import StopOnSignal
    from .logs.history import HistoryFiles, plot_history, plot_metric
    from .logs.hparams import FinalMetric
    from .logs.notebook_progress import NotebookProgress
    from .logs.progress import EpochLines
    from .logs.report_metric import ReportMetric
    from .pictures.backtest import Backtest, backtest, plot_backtest
    from .pictures.batch_preview import BatchPreview
    from .pictures.confusion import ConfusionMatrix, plot_confusion_matrix
    from .pictures.feature_maps import FeatureMaps, plot_feature_maps
    from .pictures.forecast_plot import ForecastPlot, plot_forecasts
    from .pictures.grad_cam import GradCAM, grad_cam
    from .pictures.layers import feature_maps
    from .weights.finite_loss import FiniteLoss
    from .weights.stochastic_weight_average import StochasticWeightAverage

__all__ = [
    "Backtest",
    "BatchPreview",
    "BestAndLast",
    "CheckpointEvery",
    "ConfusionMatrix",
    "DurableCheckpoints",
    "EarlyStopping",
    "EpochLines",
    "ExactResume",
    "FeatureMaps",
    "FinalMetric",
    "FiniteLoss",
    "ForecastPlot",
    "GradCAM",
    "HistoryFiles",
    "NonFiniteGradients",
    "NonFiniteLoss",
    "NonFiniteWeights",
    "NotebookProgress",
    "ReportMetric",
    "StochasticWeightAverage",
    "StopOnSignal",
    "TrainingStopped",
    "backtest",
    "feature_maps",
    "grad_cam",
    "plot_backtest",
    "plot_confusion_matrix",
    "plot_feature_maps",
    "plot_forecasts",
    "plot_history",
    "plot_metric",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".checkpoints.best_and_last": "BestAndLast",
        ".checkpoints.checkpoint_every": "CheckpointEvery",
        ".checkpoints.durable": "DurableCheckpoints",
        ".checkpoints.early_stopping": "EarlyStopping",
        ".checkpoints.exact_resume": "ExactResume",
        ".checkpoints.stop_on_signal": "StopOnSignal",
        ".logs.history": "HistoryFiles plot_history plot_metric",
        ".logs.hparams": "FinalMetric",
        ".logs.notebook_progress": "NotebookProgress",
        ".logs.progress": "EpochLines",
        ".logs.report_metric": "ReportMetric",
        ".pictures.backtest": "Backtest backtest plot_backtest",
        ".pictures.batch_preview": "BatchPreview",
        ".pictures.confusion": "ConfusionMatrix plot_confusion_matrix",
        ".pictures.feature_maps": "FeatureMaps plot_feature_maps",
        ".pictures.forecast_plot": "ForecastPlot plot_forecasts",
        ".pictures.grad_cam": "GradCAM grad_cam",
        ".pictures.layers": "feature_maps",
        ".weights.finite_loss": "FiniteLoss",
        ".weights.stochastic_weight_average": "StochasticWeightAverage",
    },
)
