"""Callbacks that watch a run: they change nothing in it."""

from callbacks.backtest import Backtest, backtest, plot_backtest
from callbacks.batch_preview import BatchPreview
from callbacks.best_and_last import BestAndLast
from callbacks.checkpoint_every import CheckpointEvery
from callbacks.checkpoint_files import DurableCheckpoints
from callbacks.confusion import ConfusionMatrix, plot_confusion_matrix
from callbacks.exact_resume import ExactResume
from callbacks.feature_maps import FeatureMaps, plot_feature_maps
from callbacks.finite_loss import FiniteLoss, NonFiniteGradients, NonFiniteLoss
from callbacks.finite_weights import NonFiniteWeights
from callbacks.forecast_plot import ForecastPlot, plot_forecasts
from callbacks.grad_cam import GradCAM, grad_cam
from callbacks.history import HistoryFiles, plot_history, plot_metric
from callbacks.hyper_parameters import FinalMetric
from callbacks.layers import feature_maps
from callbacks.notebook_progress import NotebookProgress
from callbacks.progress import EpochLines
from callbacks.report_metric import ReportMetric
from callbacks.stochastic_weight_average import StochasticWeightAverage
from callbacks.stop_on_signal import StopOnSignal, TrainingStopped

__all__ = [
    "Backtest",
    "BatchPreview",
    "BestAndLast",
    "CheckpointEvery",
    "ConfusionMatrix",
    "DurableCheckpoints",
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
