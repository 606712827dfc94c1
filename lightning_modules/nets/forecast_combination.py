"""A combination of simple forecasters, chosen by rolling origins: never worse than what is simple."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast

import pandas as pd
import torch
from torch import Tensor, nn

from .channel_net import check_lookback
from .forecasters.history import TINY, History
from .forecasters.known import AUTOREGRESSIONS, KnownEffect
from .forecasters.naive import forecast_drift, forecast_last, forecast_mean, forecast_median, forecast_season
from .forecasters.ridge import MOST_ROWS, Ridge, Rows
from .forecasters.smoothing import Smoothing
from .forecasters.spread import Spread
from .forecasters.statistics import MODELS, check_installed, forecast_by_model
from .forecasters.theta import forecast_theta

LEVELS = ("last value", "last season", "drift", "mean", "median", "smoothing", "theta", "ridge")
LOGS = ("drift", "smoothing", "theta", "ridge")  # what is forecast on logarithms too
LOG = " of logarithms"
CANDIDATES = (*LEVELS, *(name + LOG for name in LOGS))
KNOWN = (*CANDIDATES, *MODELS)
NOT_SCORED = -1.0  # in place of an error; a checkpoint holds no NaN
FEWEST_ORIGINS = 8  # of each series, by which candidates are weighed: the last training windows are added to fewer
FEWEST_WINDOWS = 4  # training windows, from which ridge is a candidate
MOST_SCORED, MOST_FITTED = 2000, 200  # series of one channel, by which candidates are weighed; with statsforecast's
GRID_WINDOWS = 64  # by which the models of exponential smoothing are chosen from the whole grid
LEAST_WEIGHT = 0.02  # of a candidate: those below are left out
LEAST_POWER, MOST_POWER, BLOCKS = 3.0, 12.0, 4  # weights are errors to the power -(3 + blocks / 4), at most 12
OWN_BLOCKS = 20  # rolling forecasts, from which a target's own errors count as much as those of all
COVARIATE_STEPS = 24  # of the past covariates, that ridge sees at most
MOST_EXTRA = 200  # of its features beside the targets' past


class Batches(Protocol):
    """Windows by index.

    Where they have an attribute `series`, the index of the series of each window (M,) int64, each series' windows are
    in order of time.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return windows (B, L, F) and what follows them (B, P, C), NaN where it is not known."""


class Inputs(NamedTuple):
    """The columns of windows by their role.

    Args:
        history: past of the targets, (B, C, L).
        extra: the last past covariates and static ones, (B, E).
        known: covariates known ahead in the steps of the window, (B, K, L).
        ahead: the same in the steps to forecast, (B, K, P).
    """

    history: History
    extra: Tensor
    known: Tensor
    ahead: Tensor

    def take(self, index: Tensor | slice) -> "Inputs":
        """Return some of the windows."""
        history = History(*(item[index] for item in self.history))
        return Inputs(history, self.extra[index], self.known[index], self.ahead[index])


class ForecastCombination(nn.Module):
    """A weighted mean of simple forecasters, with intervals by its errors over rolling origins.

    The forecasters are the last value, the last season, drift, mean, median, exponential smoothing, the theta method
    and ridge regression; where all values of a target are positive in training, some of them on logarithms too.
    `fit_windows` solves ridge for the training windows, weighs all by their errors on the validation windows, and
    solves ridge again with both, for forecasts beyond them. Known covariates have an effect in
    the same step, which is taken out of the past and added to the forecast.
    Sources: Bates and Granger 1969, "The Combination of Forecasts" (Operational Research Quarterly 20), section 3, for
    weights by past errors; Hyndman and Athanasopoulos, "Forecasting: Principles and Practice" (FPP3), section 13.4.

    Args:
        lookback: number of steps in a window, L.
        horizon: number of steps to forecast, P.
        num_targets: number of columns to forecast, C: the first ones of the input.
        num_features: number of columns of the input, F.
        num_quantiles: number of quantiles to forecast, Q; 1 for a forecast alone.
        season: number of steps in a season.
        num_known: number of columns known ahead, K: after the targets and the past covariates, once in their own step
            and once `horizon` steps before it.
        num_static: number of columns that are constant over a window, after those.
        masked: whether the last columns are 1 where a target, past or known covariate is missing.
        candidates: names of the forecasters to combine; beside those above AutoETS and AutoTheta of statsforecast,
            which are fitted to each window: 20 ms to a second each, and not exported.
        gradient_from: number of training windows of one channel, from which a linear layer is trained that adds to the
            combination, at first nothing; with fewer of them nothing is trained by gradient.
    """

    weights: Tensor  # of the candidates, (C, number of candidates)
    errors: Tensor  # of the candidates on the rolling origins, relative to the mean step of the windows; -1: not scored
    is_large: Tensor  # whether a gradient may improve on the combination
    positive: Tensor  # 1 for targets that are positive in training, (C,)
    least: Tensor  # value below which logarithms are not taken, (C,)

    def __init__(
        self,
        *,
        lookback: int,
        horizon: int,
        num_targets: int,
        num_features: int | None = None,
        num_quantiles: int = 1,
        season: int = 1,
        num_known: int = 0,
        num_static: int = 0,
        masked: bool = False,
        candidates: tuple[str, ...] = CANDIDATES,
        gradient_from: int = 50_000,
    ) -> None:
        super().__init__()
        if num_quantiles < 1 or num_quantiles % 2 == 0:
            raise ValueError(
                f"expected an odd number of quantiles that rise within (0, 1) around 0.5, received {num_quantiles}"
            )
        if min(lookback, horizon, num_targets, season) < 1:
            raise ValueError(
                "expected `lookback`, `horizon`, `num_targets` and `season` of at least 1, received "
                f"{lookback}, {horizon}, {num_targets} and {season}"
            )
        if not candidates or (unknown := [name for name in candidates if name not in KNOWN]):
            wrong = f", received '{unknown[0]}'" if candidates else ", received none"
            raise ValueError(f"expected `candidates` among {', '.join(KNOWN)}{wrong}")
        check_installed(candidates)
        num_features = num_targets if num_features is None else num_features
        masks = num_targets + num_known if masked else 0
        num_past, odd = divmod(num_features - num_targets - 2 * num_known - num_static - masks, 2 if masked else 1)
        if num_past < 0 or odd:
            raise ValueError(
                f"expected `num_features` for {num_targets} targets, {num_known} columns known ahead, {num_static} "
                f"static ones and {'their masks' if masked else 'no masks'}, received {num_features}"
            )
        self.lookback, self.horizon, self.season = lookback, horizon, season
        self.num_targets, self.num_features, self.num_quantiles = num_targets, num_features, num_quantiles
        self.num_past, self.num_static, self.masked = num_past, num_static, masked
        self.num_known = num_known if horizon <= lookback else 0  # of a shorter window not all steps ahead are there
        self._num_known_columns = num_known
        self.candidates = tuple(candidates)
        self.covariate_steps = min(lookback, max(season, 1), COVARIATE_STEPS, MOST_EXTRA // max(num_past, 1))
        sizes = {"lookback": lookback, "horizon": horizon, "season": season}
        num_extra = num_past * self.covariate_steps + num_static
        spaces = ("levels", "logs")
        self.ridge = nn.ModuleDict({n: Ridge(**sizes, num_targets=num_targets, num_extra=num_extra) for n in spaces})
        self.smoothing = nn.ModuleDict({n: Smoothing(**sizes) for n in spaces})
        self.known_effect = nn.ModuleDict({n: KnownEffect(num_targets, self.num_known) for n in spaces})
        self.correction = nn.Linear(lookback, horizon, bias=False)
        nn.init.zeros_(self.correction.weight)
        self.gradient_from = gradient_from
        self.spread = Spread(num_targets, num_quantiles, season)
        weights = torch.zeros(num_targets, len(candidates))
        weights[:, 0] = 1
        self.register_buffer("weights", weights)
        self.register_buffer("is_large", torch.tensor(False))
        self.register_buffer("errors", torch.full((len(candidates),), NOT_SCORED))
        self.register_buffer("positive", torch.zeros(num_targets))
        self.register_buffer("least", torch.full((num_targets,), TINY))
        self.is_refit = True  # whether forecasts are by the solutions of training and validation windows
        self._find_active()
        self.register_load_state_dict_post_hook(lambda module, keys: module._find_active())

    def forward(self, x: Tensor) -> Tensor:
        """Map windows (B, L, F) float32 to forecasts (B, P, C), or quantiles (B, P, C, Q) where there are several.

        Raises:
            ValueError: the windows have another length.
        """
        check_lookback(self, x)
        inputs = self._split(x)
        forecast = self._combine(self._forecast(inputs, self._active, self.is_refit), self._active)
        if self._learns:
            values, present = inputs.history
            forecast = forecast + self.correction((values - inputs.history.last) * present)
        if self.num_quantiles == 1:
            return forecast.transpose(1, 2)
        return self.spread(inputs.history, forecast).transpose(1, 2)

    def fit_windows(self, train: Batches, val: Batches, quantiles: Sequence[float] = ()) -> None:
        """Fit everything: the same result for the same windows, on every rank.

        Args:
            train: training windows.
            val: validation windows, by which candidates are chosen.
            quantiles: levels of the quantiles, `num_quantiles` of them.
        """
        own_train, own_val = self._collect(train, MOST_ROWS), self._collect(val, MOST_ROWS)
        scored, fitted = self._choose_origins(train, val)
        most = MOST_FITTED if set(MODELS) & set(self.candidates) else MOST_SCORED
        held_out, before = self._collect(val, most, scored[1]), own_train
        if scored[0] is not None:
            last = self._collect(train, most, scored[0])
            held_out = _join(last, held_out)
            before = self._collect(train, MOST_ROWS, fitted)
        num_blocks = self._count_blocks(val, scored)
        self.is_large.fill_(len(train) * self.num_targets >= self.gradient_from)
        self._fit_logarithms(own_train[0])
        best: tuple[float, dict[str, Any]] | None = None
        tried = (None, *AUTOREGRESSIONS) if self.num_known else (None,)
        for autoregression in tried:
            found = self._fit_candidates(before, held_out, autoregression, num_blocks)
            if best is None or found[0] < best[0]:
                best = found
        assert best is not None
        self._settle(best[1], own_train, own_val, is_solved=before is own_train and not self.num_known)
        if self.num_quantiles > 1:
            self.spread.fit(held_out[0].history, best[1]["forecast"], held_out[1], quantiles, num_blocks=num_blocks)
        self._find_active()

    @property
    def learns_by_gradient(self) -> bool:
        """Return whether there are so many windows that a gradient may improve on the combination."""
        return self._learns

    def candidates_table(self) -> pd.DataFrame:
        """Return the candidates with their errors on the rolling origins and their weights, the best first."""
        table = pd.DataFrame(
            {
                "candidate": self.candidates,
                "error": self.errors.where(self.errors >= 0, math.nan).cpu().numpy(),
                "weight": self.weights.mean(0).cpu().numpy(),
            }
        )
        return table.sort_values("error", kind="stable", ignore_index=True)

    def _split(self, x: Tensor) -> Inputs:
        """Split windows (B, L, F) into columns by role."""
        columns = x.transpose(1, 2)
        begin = self.num_targets
        values, past = columns[:, :begin], columns[:, begin : begin + self.num_past]
        begin += self.num_past
        known, ahead = columns[:, begin : begin + self.num_known], columns[:, begin + self._num_known_columns :]
        ahead = ahead[:, : self.num_known, max(self.lookback - self.horizon, 0) :]
        begin += 2 * self._num_known_columns
        static = columns[:, begin : begin + self.num_static, -1]
        begin += self.num_static
        present = 1 - columns[:, begin : begin + self.num_targets] if self.masked else torch.ones_like(values)
        extra = torch.cat([past[..., self.lookback - self.covariate_steps :].flatten(1), static], 1)
        return Inputs(History(values.contiguous(), present.contiguous()), extra, known, ahead)

    def _transform(self, values: Tensor) -> Tensor:
        """Return logarithms of the targets that are positive in training, (..., C, T)."""
        logs = torch.maximum(values, self.least[:, None]).log()
        return torch.where(self.positive[:, None] > 0, logs, values)

    def _undo(self, forecast: Tensor, history: History) -> Tensor:
        """Undo `_transform`; forecasts far outside of the window are cut, as an exponential would make them absurd."""
        low, high = history.values.amin(-1, keepdim=True), history.values.amax(-1, keepdim=True)
        reach = 1 + 2 * (high - low)
        cut = torch.minimum(torch.maximum(forecast, low - reach), high + reach)
        return torch.where(self.positive[:, None] > 0, cut.exp(), forecast)

    def _enter(self, inputs: Inputs, space: str, is_refit: bool) -> History:
        """Return the past in levels or logarithms, without the effect of the known covariates."""
        values, present = inputs.history
        values = self._transform(values) * present if space == "logs" else values
        if self.num_known:
            values = (values - self.known_effect[space](inputs.known, is_refit)) * present
        return History(values, present)

    def _leave(self, forecast: Tensor, inputs: Inputs, history: History, space: str, is_refit: bool) -> Tensor:
        """Return a forecast of `_enter`'s past in levels, with the effect."""
        if self.num_known:
            forecast = forecast + self.known_effect[space](inputs.ahead, is_refit)
        return self._undo(forecast, history) if space == "logs" else forecast

    def _forecast(self, inputs: Inputs, names: Sequence[str], is_refit: bool) -> dict[str, Tensor]:
        """Forecast by some candidates, (B, C, P) each."""
        forecasts = {}
        for space, ending in (("levels", ""), ("logs", LOG)):
            kinds = [name.removesuffix(LOG) for name in names if name.endswith(LOG) == bool(ending)]
            if kinds:
                history = self._enter(inputs, space, is_refit)
                for kind in kinds:
                    forecast = self._forecast_kind(kind, space, history, inputs.extra, is_refit)
                    forecasts[kind + ending] = self._leave(forecast, inputs, history, space, is_refit)
        return forecasts

    def _forecast_kind(self, kind: str, space: str, history: History, extra: Tensor, is_refit: bool) -> Tensor:
        if kind == "ridge":
            return self.ridge[space](history, extra, is_refit)
        if kind == "smoothing":
            return self.smoothing[space](history)
        if kind == "theta":
            return forecast_theta(history, self.horizon, self.season)
        if kind in MODELS:
            return forecast_by_model(kind, history, self.horizon, self.season)
        if kind == "last season":
            return forecast_season(history, self.horizon, self.season)
        simple = {
            "last value": forecast_last,
            "drift": forecast_drift,
            "mean": forecast_mean,
            "median": forecast_median,
        }
        return simple[kind](history, self.horizon)

    def _combine(self, forecasts: dict[str, Tensor], names: Sequence[str]) -> Tensor:
        """Return the weighted mean of forecasts, (B, C, P)."""
        places = [self.candidates.index(name) for name in names]
        total = sum(self.weights[:, place, None] * forecasts[name] for place, name in zip(places, names, strict=True))
        assert isinstance(total, Tensor)
        return total

    def explain_no_graph(self) -> str:
        """Return why the net cannot be written as a graph of operations, in one sentence; empty if it can.

        The recursions of smoothing and theta run over the steps of a window: unrolled, they are thousands of operations
        that a tracer takes many minutes for.
        """
        loops = [name for name in self._active if name.startswith(("smoothing", "theta", "AutoETS", "AutoTheta"))]
        if not loops:
            return ""
        kept = [name for name in self.candidates if name not in loops]
        return (
            f"it combines {', '.join(loops)}, whose recursions over the window are no graph of operations: serve the "
            f"checkpoint, or train with `candidates` {kept}"
        )

    def _find_active(self) -> None:
        """List the candidates that have a weight: others are not computed."""
        if self.weights.is_meta:
            self._active: tuple[str, ...] = self.candidates
            self._learns = False
            return
        self._learns = bool(self.is_large)
        used = (self.weights > 0).any(0).tolist()
        self._active = tuple(name for name, is_used in zip(self.candidates, used, strict=True) if is_used)

    def _collect(self, batches: Batches, most: int, rows: Tensor | None = None) -> tuple[Inputs, Tensor]:
        """Return windows, evenly chosen where there are more than `most` of one channel, with what follows them."""
        rows = torch.arange(len(batches)) if rows is None else rows
        number = max(most // self.num_targets, FEWEST_ORIGINS)
        if len(rows) > number:
            rows = rows[torch.linspace(0, len(rows) - 1, number, dtype=torch.float64).round().long()]
        found = [batches[index] for index in rows.split(1024)]
        y = torch.cat([y for _, y in found]).to(self.weights)
        return self._split(torch.cat([x for x, _ in found]).to(self.weights)), y.transpose(1, 2)

    def _choose_origins(self, train: Batches, val: Batches) -> tuple[tuple[Tensor | None, Tensor], Tensor]:
        """Choose the windows by which candidates are weighed, and the training windows before them.

        Returns:
            Training windows (None: of the validation there are enough, or the series are not known) and validation
            windows for the choice, and training windows to solve ridge on for it.
        """
        every = torch.arange(len(train)), torch.arange(len(val))
        series, others = getattr(train, "series", None), getattr(val, "series", None)
        if series is None or others is None or train is val or not len(train):
            return (None, every[1]), every[0]
        number = int(max(int(series.max()), int(others.max()) if len(others) else 0)) + 1
        counts, held = torch.bincount(series, minlength=number), torch.bincount(others, minlength=number)
        ends = counts.cumsum(0)
        from_end = ends[series] - 1 - every[0]  # series by series, in order of time
        missing = (FEWEST_ORIGINS - held).clamp(min=0)[series]
        chosen = from_end < missing
        before = (missing == 0) | (from_end >= missing + self.horizon - 1)
        if not chosen.any() or before.sum() < max(len(train) // 2, FEWEST_WINDOWS):
            return (None, every[1]), every[0]
        return (every[0][chosen], every[1]), every[0][before]

    def _count_blocks(self, val: Batches, scored: tuple[Tensor | None, Tensor]) -> int:
        """Count the forecasts of the rolling origins that do not overlap."""
        series = getattr(val, "series", None)
        extra = 0 if scored[0] is None else len(scored[0])
        number = 1 if series is None or not len(series) else int(series.unique().numel())
        origins = (len(scored[1]) + extra) / number
        return number * max(1, round((origins + self.horizon - 1) / self.horizon))

    def _fit_logarithms(self, inputs: Inputs) -> None:
        values, present = inputs.history
        lowest = values.where(present > 0, math.inf).amin((0, 2))
        positive = (lowest > 0) & lowest.isfinite()
        self.positive.copy_(positive)
        self.least.copy_(torch.where(positive, lowest / 2, torch.ones_like(lowest)).clamp(min=1e-12))

    def _fit_candidates(
        self, train: tuple[Inputs, Tensor], val: tuple[Inputs, Tensor], autoregression: float | None, num_blocks: int
    ) -> tuple[float, dict[str, Any]]:
        """Fit all candidates, with one way to estimate the known covariates' effect; return their error and state."""
        inputs, y = val
        scale = self._measure_errors(inputs.history)
        choices: dict[str, Any] = {}
        for space in ("levels", "logs") if self._uses_logs() else ("levels",):
            self._fit_effect(train[0], space, autoregression, is_refit=False)
            history = self._enter(inputs, space, False)
            ending = LOG if space == "logs" else ""
            if "smoothing" + ending in self.candidates:
                cast(Smoothing, self.smoothing[space]).choose(
                    History(*(item[:: max(1, len(y) // GRID_WINDOWS)] for item in history))
                )
            if "ridge" + ending in self.candidates and len(train[1]) >= FEWEST_WINDOWS:
                rows = self._rows(*train, space, False)

                def measure(forecast: Tensor, space: str = space, history: History = history) -> Tensor:
                    levels = self._leave(forecast.to(y), inputs, history, space, False)
                    return ((levels - y).abs() / scale).nanmean()

                choice, _ = cast(Ridge, self.ridge[space]).fit(rows, self._rows(inputs, y, space, False), measure)
                cast(Ridge, self.ridge[space]).solve(rows, choice, is_refit=False)
                choices[space] = choice
        names = [name for name in self.candidates if self._is_possible(name, choices)]
        forecasts = self._forecast(inputs, names, False)
        errors = torch.stack([((forecasts[name] - y).abs() / scale).nanmean((0, 2)) for name in names])
        weights = _weigh(errors, num_blocks, _keep_better(names, errors, num_blocks))
        state: dict[str, Any] = {"autoregression": autoregression, "choices": choices}
        places = [self.candidates.index(name) for name in names]
        state["weights"], state["errors"] = torch.zeros_like(self.weights), torch.full_like(self.errors, NOT_SCORED)
        state["weights"][:, places], state["errors"][places] = weights.T, errors.nanmean(1)
        state["grids"] = {name: value.clone() for name, value in self.smoothing.state_dict().items()}
        state["forecast"] = sum(weights[place][:, None] * forecasts[name] for place, name in enumerate(names))
        return float(((state["forecast"] - y).abs() / scale).nanmean()), state

    def _settle(
        self, state: dict[str, Any], train: tuple[Inputs, Tensor], val: tuple[Inputs, Tensor], *, is_solved: bool
    ) -> None:
        """Take over what was chosen, and solve for the training windows, and for those and the validation's.

        Args:
            state: as `_fit_candidates` returns it.
            train: training windows.
            val: validation windows.
            is_solved: whether the solution for the training windows is there already.
        """
        self.weights.copy_(state["weights"])
        self.errors.copy_(state["errors"])
        self.smoothing.load_state_dict(state["grids"])
        both = _join(train, val)
        for space in ("levels", "logs") if self._uses_logs() else ("levels",):
            for is_refit, (inputs, y) in ((False, train), (True, both))[int(is_solved) :]:
                self._fit_effect(inputs, space, state["autoregression"], is_refit=is_refit)
                if space in state["choices"]:
                    rows = self._rows(inputs, y, space, is_refit)
                    cast(Ridge, self.ridge[space]).solve(rows, state["choices"][space], is_refit=is_refit)

    def _fit_effect(self, inputs: Inputs, space: str, autoregression: float | None, *, is_refit: bool) -> None:
        values, present = inputs.history
        values = self._transform(values) * present if space == "logs" else values
        cast(KnownEffect, self.known_effect[space]).fit(
            History(values, present), inputs.known, autoregression, is_refit=is_refit
        )

    def _rows(self, inputs: Inputs, y: Tensor, space: str, is_refit: bool) -> Rows:
        """Return windows with what follows them, in levels or logarithms, without the known covariates' effect."""
        future = self._transform(y) if space == "logs" else y
        if self.num_known:
            future = future - self.known_effect[space](inputs.ahead, is_refit)
        return Rows(self._enter(inputs, space, is_refit), inputs.extra, future)

    def _measure_errors(self, history: History) -> Tensor:
        """Return what errors are divided by, as in MASE, (N, C, 1): the window's mean distance of steps or seasons."""
        scale = self.spread.measure_window(history)
        return torch.maximum(scale, 0.2 * scale.mean(0) + TINY)[..., None]

    def _uses_logs(self) -> bool:
        return bool((self.positive > 0).any()) and any(name.endswith(LOG) for name in self.candidates)

    def _is_possible(self, name: str, choices: dict[str, Any]) -> bool:
        if name.endswith(LOG) and not self._uses_logs():
            return False
        if name.removesuffix(LOG) == "ridge":
            return ("logs" if name.endswith(LOG) else "levels") in choices
        return name != "last season" or 1 < self.season <= self.lookback


def _keep_better(names: Sequence[str], errors: Tensor, num_blocks: float) -> Tensor:
    """Return 1 for each candidate, and 0 where there is a better one, (K, 1).

    With much evidence, of a forecaster in levels and on logarithms the better one is kept: both cost twice the time,
    and gain little. With little evidence their mean is more robust.
    """
    if num_blocks < OWN_BLOCKS:
        return torch.ones(len(names), 1)
    means = dict(zip(names, errors.nanmean(1).tolist(), strict=True))

    def is_worse(name: str) -> bool:
        other = name.removesuffix(LOG) if name.endswith(LOG) else name + LOG
        return other in means and (means[other], other) < (means[name], name)

    return torch.tensor([[0.0 if is_worse(name) else 1.0] for name in names])


def _weigh(errors: Tensor, num_blocks: float, kept: Tensor) -> Tensor:
    """Return weights of candidates by target, (K, C): the better, the more; with more evidence the best alone.

    Args:
        errors: mean errors of each candidate on each target, (K, C).
        num_blocks: number of forecasts that do not overlap.
        kept: 0 for candidates without weight, (K, 1).
    """
    num_blocks = num_blocks * math.sqrt(errors.shape[1])  # targets of one table are no independent evidence
    power = min(LEAST_POWER + num_blocks / BLOCKS, MOST_POWER)
    errors = errors.nan_to_num(nan=1.0).clamp(min=TINY)

    def weigh(own: Tensor) -> Tensor:
        weights = (own / own.amin(0)) ** -power * kept
        weights = weights / weights.sum(0)
        weights = weights * (weights >= LEAST_WEIGHT)
        return weights / weights.sum(0)

    share = num_blocks / (num_blocks + OWN_BLOCKS)
    weights = (1 - share) * weigh((errors / errors.amin(0)).mean(1, keepdim=True)) + share * weigh(errors)
    weights = weights * (weights.mean(1, keepdim=True) >= LEAST_WEIGHT)
    return weights / weights.sum(0)


def _join(first: tuple[Inputs, Tensor], second: tuple[Inputs, Tensor]) -> tuple[Inputs, Tensor]:
    """Return the windows of both."""
    (one, y), (other, z) = first, second
    history = History(*(torch.cat(pair) for pair in zip(one.history, other.history, strict=True)))
    rest = [torch.cat([getattr(one, name), getattr(other, name)]) for name in ("extra", "known", "ahead")]
    return Inputs(history, *rest), torch.cat([y, z])
