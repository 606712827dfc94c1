"""What an evaluation found: scores, tables and plots."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor

from lightfit.callbacks.pictures.plots import Plot

from ..cli.score_format import format_score

CANDIDATES = "forecasters"  # table of the forecasters that a net combines


class Baseline(NamedTuple):
    """What answers without a net reach: the headline metric of an answer that needs no training, or of other models."""

    name: str  # such as `always answering 'neg'`
    score: float
    find_difference: Callable[[], tuple[float, float]]  # 95 % interval of the model's score less this one


class Evaluation(NamedTuple):
    """Scores of a split, with tables and plots by title."""

    num_samples: int
    metrics: dict[str, float]
    headline: str  # name of the metric with an interval; empty if there is none
    interval: tuple[float, float]
    tables: dict[str, pd.DataFrame]
    plots: dict[str, Callable[[], Plot]]  # drawn on demand, as drawing takes longer than all the rest
    logged: tuple[str, ...]  # names of the metrics that the model logs
    outputs: dict[str, Tensor]  # predictions for each sample, in order
    wrong: pd.DataFrame | None = None  # the samples with errors, the worst first, their places in the column `file`
    wrong_rows: tuple[int, ...] = ()  # their indices in the split, in the order of `wrong`
    series: pd.DataFrame | None = None  # of a forecaster: scores of each series and target
    beside: str = ""  # what the headline is compared with, such as naive forecasts
    remarks: tuple[str, ...] = ()  # lines to print
    meaningless: tuple[str, ...] = ()  # names of metrics that the model logs, and that say nothing about this data
    baselines: tuple[Baseline, ...] = ()  # to judge the headline by
    units: str = ""  # of the headline, such as `in the units of 'load'`
    windows: pd.DataFrame | None = None  # of a forecaster: its worst windows
    write_forecasts: Callable[[Path], None] | None = None  # of a forecaster: write the forecasts as a table

    def format_headline(self) -> str:
        """Return the headline metric with its interval, and what it is compared with."""
        low, high = self.interval
        interval = (
            "too few samples for an interval"
            if np.isnan(low)
            else f"95 % interval {format_score(low)} to {format_score(high)}"
        )
        beside = f"; {self.beside}" if self.beside else ""
        return f"{self.headline} {format_score(self.metrics[self.headline])} ({interval}){beside}"

    def count_forecasts(self) -> int:
        """Return the number of rows of the table of forecasts."""
        return self.outputs["y"].shape[0] * self.outputs["y"].shape[1] if self.write_forecasts is not None else 0
