"""Callbacks that watch a run: they change nothing in it."""

from callbacks.history import HistoryFiles, plot_history, plot_metric
from callbacks.hyper_parameters import FinalMetric
from callbacks.progress import EpochLines

__all__ = ["EpochLines", "FinalMetric", "HistoryFiles", "plot_history", "plot_metric"]
