"""Rolling origins: windows spread evenly over a split, a net fitted anew before each, and statistical models."""

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightfit.datamodules import DataModule
from lightfit.datamodules.samples import Batches
from lightfit.datamodules.series.places import LAST, WindowPlaces
from lightfit.errors import UsageError
from lightfit.extras import importing_extra
from lightfit.lightning_modules import LightModel

STATISTICAL = ("AutoETS", "AutoTheta", "AutoARIMA", "AutoCES")  # classes of statsforecast.models
LEAST_VAL = 8  # origins that choose settings of a net that is fitted anew, where there are as many
LEAST_HISTORY = 3  # steps for a statistical model

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def choose_origins(places: WindowPlaces, num_origins: int) -> Rows:
    """Choose the windows at some origins that are spread evenly over the time of a split, with its first and its last.

    Of each series the window at an origin is taken, or the last one before it, since the first steps of series may
    differ.

    Args:
        places: where the windows lie.
        num_origins: number of origins; all windows are taken where there are no more.
    """
    times, series = places.panel.times[places.first], places.series
    every = np.unique(times)
    if num_origins >= len(every):
        return np.arange(len(places))
    chosen = every[np.linspace(0, len(every) - 1, num_origins).round().astype(int)]
    order = np.lexsort((times, series))
    begins = np.flatnonzero(np.diff(series[order], prepend=-1))
    rows = []
    for begin, end in zip(begins, [*begins[1:], len(order)], strict=True):
        own = order[begin:end]
        found = np.searchsorted(times[own], chosen, side="right") - 1
        rows.append(own[np.unique(found[found >= 0])])
    return np.concatenate(rows)


class _Place(NamedTuple):
    """Windows: index of the split, row in it, series, and stamps of the first and last step to forecast, (M,) each."""

    split: Rows
    row: Rows
    series: Rows
    first: NDArray[np.datetime64]
    last: NDArray[np.datetime64]

    def take(self, chosen: NDArray[Any]) -> "_Place":
        return _Place(*(column[chosen] for column in self))


class JoinedBatches:
    """Windows of several splits, series by series in order of time.

    Args:
        batches: the splits.
        places: the windows.
    """

    def __init__(self, batches: Sequence[Batches], places: _Place) -> None:
        self.batches = batches
        places = places.take(np.lexsort((places.first, places.series)))
        self.split, self.row = torch.from_numpy(places.split), torch.from_numpy(places.row)
        self.series = torch.from_numpy(places.series)  # index of the series of each window, which some nets ask for

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch of windows and what follows them."""
        split, row = self.split[index], self.row[index]
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        for number in split.unique().tolist():
            held = (split == number).nonzero()[:, 0]
            parts.append((held, *self.batches[number][row[held]]))
        back = torch.cat([held for held, _, _ in parts]).argsort()
        return torch.cat([x for _, x, _ in parts])[back], torch.cat([y for _, _, y in parts])[back]


def check_refit(model: LightModel) -> None:
    """Check that the net of a model can be fitted anew.

    Raises:
        UsageError: it cannot.
    """
    if not callable(getattr(model.net, "fit_windows", None)):
        raise UsageError(
            f"--refit needs a net that is fitted in closed form, with a method fit_windows, and this one is a "
            f"{type(model.net).__name__}, which is trained by gradients: leave --refit out"
        )


def refit_forecasts(model: LightModel, data: DataModule, split: str, rows: Rows) -> dict[str, Tensor]:
    """Fit a copy of the net before each origin, on all windows that end before it, and forecast from there.

    The scaling stays that of the training. Settings are chosen by the last windows before the origin, as many as val
    has. Nothing is trained by gradient.

    Args:
        model: the model; its net has `fit_windows(train, val, quantiles)`.
        data: the data, set up, with `windows`.
        split: name of the split.
        rows: indices of the windows to forecast.

    Returns:
        `forecast`, scaled (m, P, C, Q) or (m, P, C), and the truth `y` (m, P, C), of the rows.

    Raises:
        UsageError: there are too few windows before an origin.
    """
    names = [name for name, own in data.loaded.batches.items() if name != "val" or own is not _get(data, "train")]
    batches = [data.loaded.batches[name] for name in names]
    every = _join([_list_places(data, name, index) for index, name in enumerate(names)])
    places = data.windows(split)  # type: ignore[attr-defined]
    times = places.panel.times[places.first[rows]]
    num_val = len(np.unique(_list_places(data, "val", 0).first)) if "val" in names else LEAST_VAL
    quantiles = tuple(getattr(model, "quantiles", ()))
    forecasts: list[Tensor] = [torch.empty(0)] * len(rows)
    truths: list[Tensor] = [torch.empty(0)] * len(rows)
    for time in np.unique(times):
        before = every.take(every.last < time)
        origins = np.unique(before.first)
        if len(origins) < 2:
            raise UsageError(
                f"--refit needs windows that end before the first origin, {time}, and there are {len(origins)}: take "
                "fewer --origins, or leave --refit out"
            )
        begin = origins[-max(min(max(num_val, LEAST_VAL), len(origins) // 3), 1)]
        val = before.take(before.first >= begin)
        train = before.take(before.last < begin)
        if not len(train.row):  # the horizon is longer than what lies before
            train = before.take(before.first < begin)
        fitted = copy.deepcopy(model).cpu().eval()
        net: Any = fitted.net
        with torch.no_grad():
            net.fit_windows(JoinedBatches(batches, train), JoinedBatches(batches, val), quantiles)
        chosen = np.flatnonzero(times == time)
        x, y = data.loaded.batches[split][torch.from_numpy(rows[chosen])]
        with torch.no_grad():
            forecast = fitted(x)
        for index, one, truth in zip(chosen, forecast, y, strict=True):
            forecasts[index], truths[index] = one, truth
    return {"forecast": torch.stack(forecasts), "y": torch.stack(truths)}


def _get(data: DataModule, split: str) -> Batches | None:
    return data.loaded.batches.get(split)


def _list_places(data: DataModule, split: str, index: int) -> _Place:
    places: WindowPlaces = data.windows(split)  # type: ignore[attr-defined]
    times, first = places.panel.times, places.first
    own = np.full(len(first), index)
    return _Place(own, np.arange(len(first)), places.series, times[first], times[first + places.horizon - 1])


def _join(parts: Sequence[_Place]) -> _Place:
    return _Place(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def find_statistical(names: Sequence[str]) -> Mapping[str, Any]:
    """Return classes of statsforecast by name.

    Raises:
        UsageError: a name is not one of them.
        MissingPackageError: statsforecast is not installed.
    """
    if not names:
        return {}
    if strange := [name for name in names if name not in STATISTICAL]:
        raise UsageError(f"expected --baselines of {', '.join(STATISTICAL)}, received '{strange[0]}'")
    with importing_extra("--baselines", otherwise="leave --baselines out"):
        from statsforecast import models
    return {name: getattr(models, name) for name in names}


def forecast_statistical(cls: Any, places: WindowPlaces, rows: Rows, quantiles: Sequence[float]) -> tuple[Floats, int]:
    """Fit a statistical model to each series and target before each origin, and forecast from there.

    Args:
        cls: the class, of statsforecast.
        places: where the windows lie.
        rows: indices of the windows.
        quantiles: levels of the quantiles; empty: the mean alone.

    Returns:
        Forecasts in the units of the table, (m, P, C, Q), with the mean in the middle; and how many series the model
        could not be fitted to, where the last value stands in its place.
    """
    num_quantiles = max(len(quantiles), 1)
    forecasts = np.repeat(places.forecast_naive(rows)[LAST][..., None], num_quantiles, -1)
    middle = num_quantiles // 2
    levels = [100 * (quantiles[-1 - pair] - quantiles[pair]) for pair in range(middle)]
    failed = 0
    for index, row in enumerate(rows.tolist()):
        _, past = places.history(row, len(places.panel.times))
        for target in range(places.num_targets):
            values = _complete(past[:, target])
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    model = cls(season_length=places.season if len(values) > 2 * places.season else 1)
                    if len(values) < LEAST_HISTORY:
                        raise ValueError("too short")
                    found = model.forecast(y=values, h=places.horizon, **({"level": levels} if levels else {}))
                forecasts[index, :, target, middle] = found["mean"]
                for pair, level in enumerate(levels):
                    forecasts[index, :, target, pair] = found[f"lo-{level}"]
                    forecasts[index, :, target, -1 - pair] = found[f"hi-{level}"]
            except Exception:  # whatever it raises: of a constant or a short series, and by the version of the package
                failed += 1
    return forecasts, failed


def _complete(values: Floats) -> Floats:
    """Return a series from its first known value on, with missing ones interpolated."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return values[:0]
    return np.interp(np.arange(known[0], len(values)), known, values[known])
