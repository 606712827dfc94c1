"""Does `ForecastCombination` forecast as well as what is simple? `python -m benchmarks.forecasts`, `--tables co2 nile`.

The tables of `forecast_tables.py`, each forecast from 10 origins over its last 20 % (fewer where it is short). LightFit
is trained once, on what lies before; the peers are fitted anew before each origin: AutoETS and AutoTheta of
statsforecast, the season before, and the last value. A ridge regression on LightFit's windows (distances from the last
value, each target by itself, the penalty by val, then fitted on train and val) is the fifth.

MASE: mean absolute error, divided by that of the season before within the training rows. `coverage` and `width` are of
the 80 % interval, the width in the same units, and each beside AutoETS's. Nothing here chooses anything: figures of the
test split are for reading alone.
"""

import argparse
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

if __name__ == "__main__":
    sys.path[:1] = [str(Path(__file__).resolve().parents[1])]

from benchmarks.figures import Figure, figure
from benchmarks.forecast_tables import OTHERS, SEVEN, Table
from benchmarks.timing import Spread
from lightfit.datamodules import SeriesColumns, SeriesDataModule
from lightfit.lightning_modules import SeriesForecaster
from lightfit.lightning_modules.nets import ForecastCombination
from lightfit.lightning_modules.nets.forecasters.ridge import ALPHAS, MOST_LAGS, Ridge, Rows

ORIGINS = 10
QUANTILES = (0.1, 0.5, 0.9)
STEPS = {1: 4, 4: 8, 5: 10}  # to forecast, by season; else a season
Array = NDArray[np.float64]


class Scores(NamedTuple):
    """What one table gave: MASE by forecaster, coverage and width by forecaster, CPU seconds by forecaster."""

    mase: dict[str, float]
    coverage: dict[str, float]
    width: dict[str, float]
    seconds: dict[str, float]

    @property
    def best(self) -> str:
        """Return the best peer."""
        return min((name for name in self.mase if name != "lightfit"), key=lambda name: self.mase[name])

    @property
    def ratio(self) -> float:
        """Return LightFit's error divided by that of the best peer."""
        return self.mase["lightfit"] / self.mase[self.best]


def choose_horizon(table: Table) -> int:
    """Choose the number of steps to forecast: a season, or half of the shortest test split."""
    shortest = min(len(series) - round(0.8 * len(series)) for series in table.series)
    return max(1, min(STEPS.get(table.season, table.season), shortest // 2))


def write(table: Table, path: Path) -> None:
    """Write a table as a CSV file with stamps and ids."""
    frames = []
    for index, values in enumerate(table.series):
        frame = pd.DataFrame(values, columns=[f"y{column}" for column in range(values.shape[1])])
        frame.insert(0, "date", pd.date_range(table.begin, periods=len(values), freq=table.freq))
        frame.insert(0, "id", f"series {index}")
        frames.append(frame)
    pd.concat(frames).to_csv(path, index=False)


def load(table: Table, folder: Path) -> SeriesDataModule:
    """Read a table's windows by the settings of the preset `series`."""
    path = folder / f"{table.name.replace(' ', '_')}.csv"
    write(table, path)
    names = [f"y{column}" for column in range(table.series[0].shape[1])]
    data = SeriesDataModule(
        str(path),
        target=tuple(names[: table.num_targets]),
        columns=SeriesColumns(
            time="date", series_id="id" if len(table.series) > 1 else None, known=tuple(names[table.num_targets :])
        ),
        lookback="all",
        horizon=choose_horizon(table),
        season=table.season,
        scale="auto",
        nonnegative="auto",
        batch_size=256,
    )
    data.setup("fit")
    return data


def train(data: SeriesDataModule) -> SeriesForecaster:
    """Train as the preset does, without its pictures."""
    from lightfit.lightning import pl

    state, layout = data.codec.state, data.codec.state.layout
    net = ForecastCombination(
        lookback=state.lookback,
        horizon=state.horizon,
        num_targets=data.codec.num_targets,
        num_features=layout.num_features,
        num_quantiles=len(QUANTILES),
        season=state.season,
        num_known=layout.num_known,
        num_static=layout.num_static,
        masked=layout.masked,
    )
    model = SeriesForecaster(net, loss="quantile", quantiles=QUANTILES)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            default_root_dir=folder,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            max_epochs=20,
        )
        trainer.fit(model, datamodule=data)
    return model.eval()


def choose_rows(data: SeriesDataModule) -> NDArray[np.int64]:
    """Choose the test windows from `ORIGINS` origins of each series, evenly."""
    series = data.windows("test").series
    rows = []
    for index in np.unique(series):
        own = np.flatnonzero(series == index)
        rows.append(own[np.unique(np.linspace(0, len(own) - 1, min(ORIGINS, len(own))).round().astype(int))])
    return np.concatenate(rows)


def forecast_by_ridge(net: ForecastCombination, data: SeriesDataModule, rows: NDArray[np.int64]) -> Tensor:
    """Fit the ridge regression on the windows, and forecast (m, P, C), scaled."""
    found = {}
    for split in ("train", "val", "test"):
        batches = data.loaded.batches[split]
        index = torch.from_numpy(rows) if split == "test" else torch.arange(len(batches))
        index = index[:: max(1, len(index) * net.num_targets // 20_000)] if split != "test" else index
        x, y = batches[index]
        inputs = net._split(x)
        found[split] = Rows(inputs.history, torch.zeros(len(x), 0), y.transpose(1, 2))
    solver = Ridge(lookback=net.lookback, horizon=net.horizon, num_targets=net.num_targets, season=1)
    lags, last = torch.arange(min(net.lookback, MOST_LAGS)), torch.tensor([1.0, 0.0, 0.0])
    val = found["val"]
    errors = []
    for alpha in ALPHAS:
        solver.solve(found["train"], (last, True, lags, alpha), is_refit=False)
        errors.append(float((solver(val.history, val.extra) - val.y).abs().nanmean()))
    both = [torch.cat([first, second]) for first, second in zip(_flat(found["train"]), _flat(val), strict=True)]
    history = type(val.history)(*both[:2])
    solver.solve(Rows(history, *both[2:]), (last, True, lags, ALPHAS[int(np.argmin(errors))]), is_refit=False)
    return solver(found["test"].history, found["test"].extra).transpose(1, 2)


def _flat(rows: Rows) -> list[Tensor]:
    return [*rows.history, rows.extra, rows.y]


def forecast_by_peers(table: Table, past: Array, horizon: int) -> tuple[dict[str, Array], dict[str, float]]:
    """Fit the statistical models on the past of one target, and forecast: (P,), of AutoETS with its interval (P, 3).

    Returns:
        Forecasts and CPU seconds, by name.
    """
    from statsforecast.models import AutoETS, AutoTheta

    last = np.repeat(past[-1], horizon)
    season = past[-table.season :][np.arange(horizon) % table.season] if len(past) >= table.season else last
    found, seconds = {"last value": last, "season": season}, {}
    for name, build in (("AutoETS", AutoETS), ("AutoTheta", AutoTheta)):
        started = time.process_time()
        try:
            made = build(season_length=table.season).forecast(past, horizon, level=[80])
        except Exception:  # too few rows for it
            found[name] = np.stack([last] * 3, 1) if name == "AutoETS" else last
        else:
            found[name] = (
                np.stack([made["lo-80"], made["mean"], made["hi-80"]], 1) if name == "AutoETS" else made["mean"]
            )
        seconds[name] = time.process_time() - started
    return found, seconds


def score(table: Table, folder: Path) -> Scores:
    """Train, forecast and score one table."""
    data = load(table, folder)
    torch.manual_seed(0)
    started = time.process_time()
    model = train(data)
    seconds = {"lightfit": time.process_time() - started}
    net, places, rows = model.net, data.windows("test"), choose_rows(data)
    assert isinstance(net, ForecastCombination)
    x, _ = data.loaded.batches["test"][torch.from_numpy(rows)]
    with torch.no_grad():
        own = torch.cat([model(part) for part in x.split(256)])
        ridge = forecast_by_ridge(net, data, rows)
    unscaled = places.unscale(rows, own).numpy()  # (m, P, C, Q)
    forecasts = {"lightfit": unscaled, "ridge": places.unscale(rows, ridge).numpy()[..., None]}
    starts, divisor = data.windows("test").panel.starts, places.naive_error[rows]  # (m, C)
    truth = np.empty(unscaled.shape[:3])
    peers: dict[str, Any] = {}
    for place, (row, series) in enumerate(zip(places.first[rows], places.series[rows], strict=True)):
        begin = int(row - starts[series])
        values = table.series[series]
        truth[place] = values[begin : begin + net.horizon, : table.num_targets]
        for target in range(table.num_targets):
            found, took = forecast_by_peers(table, values[:begin, target], net.horizon)
            for name, forecast in found.items():
                forecast = forecast.reshape(net.horizon, -1)
                peers.setdefault(name, np.empty((*truth.shape, forecast.shape[1])))[place, :, target] = forecast
            seconds |= {name: seconds.get(name, 0.0) + value for name, value in took.items()}
    groups = places.series[rows]
    scores = Scores({}, {}, {}, seconds)
    for name, forecast in (forecasts | peers).items():
        middle = forecast[..., forecast.shape[3] // 2]
        scores.mase[name] = _mean(np.abs(middle - truth) / divisor[:, None], groups)
        if forecast.shape[3] == 3:
            low, high = forecast[..., 0], forecast[..., 2]
            scores.coverage[name] = _mean((low <= truth) & (truth <= high), groups)
            scores.width[name] = _mean((high - low) / divisor[:, None], groups)
    return scores


def _mean(values: NDArray[Any], groups: NDArray[np.int64]) -> float:
    """Return the mean over series of each one's mean."""
    return float(np.mean([values[groups == group].mean() for group in np.unique(groups)]))


def score_all(names: Sequence[str] = (), *, develops: bool = False) -> Iterator[tuple[Table, Scores]]:
    """Score the tables.

    Args:
        names: words in the names of the tables to score; of all if there are none.
        develops: leave the last 20 % of each table out.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        for read in (*SEVEN, *OTHERS):
            table = read()
            if develops:
                table = replace(table, series=tuple(own[: round(0.8 * len(own))] for own in table.series))
            if not names or any(name in table.name for name in names):
                yield table, score(table, Path(folder))


def format_row(table: Table, scores: Scores) -> str:
    """Format the scores of a table as a line."""
    mase = "  ".join(f"{scores.mase[name]:9.3f}" for name in PEERS)
    interval = "  ".join(f"{scores.coverage[n]:.2f} {scores.width[n]:6.2f}" for n in ("lightfit", "AutoETS"))
    seconds = f"{scores.seconds['lightfit']:6.1f} {scores.seconds['AutoETS']:6.1f}"
    return f"{table.name:21} {mase}  {scores.ratio:6.3f}  {interval}  {seconds}"


PEERS = ("lightfit", "ridge", "AutoETS", "AutoTheta", "season", "last value")
HEADER = (
    f"{'MASE':21} {'  '.join(f'{name:>9}' for name in PEERS)}   ratio  "
    "coverage and width, beside AutoETS's; CPU seconds of training, beside AutoETS's"
)


def measure() -> Iterator[Figure | str]:
    """Yield the figures."""
    ratios, coverage, width = [], [], []
    for _, scores in score_all():
        ratios.append(scores.ratio)
        coverage.append(scores.coverage["lightfit"])
        width.append(scores.width["lightfit"] / scores.width["AutoETS"])
    seven, peer = len(SEVEN), "the best of five peers on each table"
    note = "ridge, AutoETS, AutoTheta, the season before and the last value, fitted anew before each of 10 origins"
    for name, own in (("seven tables", ratios[:seven]), (f"{len(ratios)} tables", ratios)):
        yield figure(
            *("forecasts", f"MASE on {name}, mean, least and most", peer, _spread(own), "times"),
            rounds=1,
            target="<= 1.05",
            note=note,
        )
    inside = _spread(coverage[:seven])
    yield figure("forecasts", "coverage of 80 % intervals, seven tables", "0.8", inside, "", rounds=1, target=">= 0.75")
    wide = _spread(width[:seven])
    yield figure("forecasts", "their width", "AutoETS", wide, "times", rounds=1, target="<= 1.2")


def _spread(values: Sequence[float]) -> Spread:
    return Spread(float(np.mean(values)), min(values), max(values))


def main(args: list[str] | None = None) -> None:
    """Score the tables and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=[], help="words in the names of the tables to score")
    parser.add_argument("--develop", action="store_true", help="leave out the last 20 %%, to try something out")
    options = parser.parse_args(args)
    found = []
    print(HEADER)
    for table, scores in score_all(options.tables, develops=options.develop):
        found.append(scores)
        print(format_row(table, scores), flush=True)
    for name, own in (("seven", found[: len(SEVEN)]), ("all", found)):
        ratios, coverage = [item.ratio for item in own], [item.coverage["lightfit"] for item in own]
        widths = [item.width["lightfit"] / item.width["AutoETS"] for item in own]
        print(
            f"{name}: ratio {np.mean(ratios):.3f}, at most {max(ratios):.3f}; coverage {np.mean(coverage):.3f}, "
            f"AutoETS {np.mean([item.coverage['AutoETS'] for item in own]):.3f}; "
            f"width {np.mean(widths):.3f} of AutoETS's"
        )


if __name__ == "__main__":
    main()
