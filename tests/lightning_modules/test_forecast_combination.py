"""ForecastCombination: its choice, its two solutions, its intervals, and its way through a Trainer."""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from lightfit.errors import MissingPackageError
from lightfit.lightning_modules import SeriesForecaster
from lightfit.lightning_modules.forecaster import CollectedWindows
from lightfit.lightning_modules.nets import ForecastCombination

LEVELS = (0.1, 0.5, 0.9)


class Windows:
    """Windows of made series, (S, T, C), that forecast the steps from `begin` to `end`."""

    def __init__(
        self,
        values: Tensor,
        begin: int,
        end: int,
        *,
        lookback: int,
        horizon: int,
        known: Tensor | None = None,
        masked: bool = False,
    ) -> None:
        x, y, series = [], [], []
        for index, own in enumerate(values):
            for origin in range(begin, end - horizon + 1):
                past = own[max(0, origin - lookback) : origin]
                padding = lookback - len(past)
                columns = [torch.nn.functional.pad(past, (0, 0, padding, 0))]
                if known is not None:
                    ahead = torch.nn.functional.pad(known[index], (0, 0, 0, horizon))
                    columns += [
                        known[index][origin - lookback : origin],
                        ahead[origin - lookback + horizon :][:lookback],
                    ]
                if masked:
                    mask = torch.zeros(lookback, own.shape[1])
                    mask[:padding] = 1
                    columns.append(mask)
                x.append(torch.cat(columns, 1))
                y.append(own[origin : origin + horizon])
                series.append(index)
        self.x, self.y, self.series = torch.stack(x), torch.stack(y), torch.tensor(series)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return self.x[index], self.y[index]


def seasonal(num_series: int = 3, length: int = 120, num_targets: int = 1, *, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    steps = np.arange(length)[:, None]
    series = [
        10
        + 0.05 * steps
        + 2 * np.sin(2 * np.pi * steps / 12 + rng.random(num_targets))
        + rng.normal(size=(length, 1)) * 0.2
        for _ in range(num_series)
    ]
    return torch.tensor(np.stack(series), dtype=torch.float32)


def split(values: Tensor, *, lookback: int = 36, horizon: int = 6, **options: Any) -> dict[str, Windows]:
    ends = [round(share * values.shape[1]) for share in (0.6, 0.8, 1.0)]
    bounds = {"train": (24 if options.get("masked") else lookback, ends[0]), "val": ends[:2], "test": ends[1:]}
    return {name: Windows(values, *own, lookback=lookback, horizon=horizon, **options) for name, own in bounds.items()}


def build(**options: Any) -> ForecastCombination:
    return ForecastCombination(
        **{"lookback": 36, "horizon": 6, "num_targets": 1, "season": 12, "num_quantiles": 3, **options}
    )


def fitted(values: Tensor, **options: Any) -> tuple[ForecastCombination, dict[str, Windows]]:
    windows, net = split(values), build(**options)
    with torch.no_grad():
        net.fit_windows(windows["train"], windows["val"], LEVELS)
    return net.eval(), windows


def mae(net: Callable[[Tensor], Tensor], windows: Windows) -> float:
    with torch.no_grad():
        forecast = net(windows.x)
    point = forecast[..., forecast.shape[3] // 2] if forecast.ndim == 4 else forecast
    return float((point - windows.y).abs().mean())


def test_an_unfitted_net_repeats_the_last_value() -> None:
    net, x = build(num_quantiles=1, num_targets=2), torch.randn(4, 36, 2)
    assert torch.equal(net(x), x[:, -1:].expand(-1, 6, -1))
    with pytest.raises(ValueError, match=r"takes windows of 36 steps, received a batch \(4, 35, 2\)"):
        net(x[:, 1:])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"horizon": 0}, "at least 1"),
        ({"num_quantiles": 2}, "an odd number of quantiles"),
        ({"candidates": ("arima",)}, "`candidates` among last value, .* received 'arima'"),
        ({"candidates": ()}, "received none"),
        ({"num_known": 2, "num_features": 4}, "`num_features` for 1 targets, 2 columns known ahead"),
    ],
)
def test_sizes_that_do_not_fit(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        build(**options)


def test_it_beats_the_naive_forecasts_and_the_table_says_by_what() -> None:
    net, windows = fitted(seasonal())
    for name in ("last value", "last season", "drift"):
        alone = build(candidates=(name,))
        assert mae(net, windows["test"]) < 0.8 * mae(alone, windows["test"])
    table = net.candidates_table()
    assert list(table.columns) == ["candidate", "error", "weight"]
    assert table["error"].is_monotonic_increasing
    assert table["weight"].sum() == pytest.approx(1)
    assert table["weight"][0] == table["weight"].max()


def test_quantiles_rise_around_the_forecast_and_cover() -> None:
    net, windows = fitted(seasonal(num_series=8))
    with torch.no_grad():
        quantiles = net(windows["test"].x)
        point = fitted(seasonal(num_series=8), num_quantiles=1)[0](windows["test"].x)
    assert (quantiles.diff(dim=-1) > 0).all()
    torch.testing.assert_close(quantiles[..., 1], point)
    inside = (quantiles[..., 0] <= windows["test"].y) & (windows["test"].y <= quantiles[..., 2])
    assert 0.7 < float(inside.float().mean()) < 0.92


def test_the_result_is_the_same_again_and_from_its_state() -> None:
    net, windows = fitted(seasonal())
    again, other = fitted(seasonal())[0], build().eval()
    other.load_state_dict(net.state_dict())
    for same in (again, other):
        torch.testing.assert_close(same(windows["test"].x), net(windows["test"].x), atol=0, rtol=0)
    assert all(not tensor.isnan().any() for name, tensor in net.state_dict().items() if name != "errors")


def test_what_follows_training_is_in_the_second_solution_alone() -> None:
    values = seasonal()
    net, windows = fitted(values, candidates=("ridge",))
    changed = values.clone()
    changed[:, 72:96] = changed[:, 72:96] * 1.05
    other = build(candidates=("ridge",))
    with torch.no_grad():
        other.fit_windows(windows["train"], split(changed)["val"], LEVELS)
    x = windows["test"].x
    net.is_refit = other.is_refit = False
    choices = [(item.ridge["levels"].centre, item.ridge["levels"].weight[0] != 0) for item in (net, other)]
    if all(torch.equal(*pair) for pair in zip(*choices, strict=True)):
        torch.testing.assert_close(net(x)[..., 1], other(x)[..., 1], atol=0.02, rtol=0)
    net.is_refit = other.is_refit = True
    assert (net(x) - other(x)).abs().max() > 0.05


@pytest.mark.slow
def test_known_covariates_are_in_the_forecast() -> None:
    rng = np.random.default_rng(0)
    promotion = torch.tensor(rng.random((1, 400, 1)) < 0.2).float()
    values = 10 + 8 * promotion + 0.3 * torch.tensor(rng.normal(size=(1, 400, 1)), dtype=torch.float32)
    windows = split(values, known=promotion)
    net = build(num_features=3, num_known=1, season=7)
    with torch.no_grad():
        net.fit_windows(windows["train"], windows["val"], LEVELS)
    assert mae(net, windows["test"]) < 0.3  # the noise's mean absolute value is 0.24
    blind = build(season=7)
    with torch.no_grad():
        parts = [split(values)[name] for name in ("train", "val", "test")]
        blind.fit_windows(parts[0], parts[1], LEVELS)
    assert mae(blind, parts[2]) > 1


def test_models_of_statsforecast_are_candidates_where_asked_for() -> None:
    pytest.importorskip("statsforecast")
    net, windows = fitted(seasonal(num_series=1, length=100), candidates=("last value", "AutoTheta", "AutoETS"))
    assert mae(net, windows["test"]) < 0.5 * mae(build(candidates=("last value",)), windows["test"])
    assert net.candidates_table()["candidate"][0] in ("AutoETS", "AutoTheta")


def test_without_statsforecast_its_models_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    with pytest.raises(MissingPackageError, match=r"AutoETS needs statsforecast, .* 'lightfit\[statistics\]'"):
        build(candidates=("AutoETS",))


def test_short_series_have_padded_windows() -> None:
    values = seasonal(num_series=4, length=60)
    windows = split(values, lookback=48, masked=True)
    net = build(lookback=48, num_features=2, masked=True)
    with torch.no_grad():
        net.fit_windows(windows["train"], windows["val"], LEVELS)
    naive = build(lookback=48, num_features=2, masked=True, candidates=("last season",))
    assert windows["train"].x[0, :, 1].sum() > 0
    assert mae(net, windows["test"]) < mae(naive, windows["test"])


def test_logarithms_only_of_what_is_positive() -> None:
    steps = torch.arange(120.0)
    growing = (0.02 * steps).exp() * (1 + 0.3 * torch.sin(2 * torch.pi * steps / 12)) * 10
    mixed = torch.stack([growing, torch.sin(steps) * 5], 1)[None]
    net, windows = fitted(mixed, num_targets=2)
    assert net.positive.tolist() == [1, 0]
    assert bool(net(windows["test"].x).isfinite().all())
    assert bool(net(windows["test"].x * torch.tensor([-1.0, 1.0])).isfinite().all()), "a new series may be negative"


@pytest.mark.parametrize("values", [torch.full((2, 90, 1), 7.0), torch.zeros(2, 90, 1)])
def test_constant_series(values: Tensor) -> None:
    net, windows = fitted(values)
    torch.testing.assert_close(net(windows["test"].x)[..., 1], windows["test"].y, atol=1e-3, rtol=0)


def test_missing_targets_and_few_windows() -> None:
    values = seasonal(num_series=1)
    values[0, 60:66] = math.nan
    windows = split(seasonal(num_series=1))
    hidden = split(values)
    for name in ("train", "val"):
        hidden[name].x = windows[name].x
    net = build()
    with torch.no_grad():
        net.fit_windows(hidden["train"], hidden["val"], LEVELS)
        assert bool(net(windows["test"].x).isfinite().all())
        few = build()
        one = Windows(seasonal(num_series=1), 66, 72, lookback=36, horizon=6)
        few.fit_windows(one, one, LEVELS)
    assert few.weights[0, few.candidates.index("ridge")] == 0, "one window is too few"


class Data(pl.LightningDataModule):
    """Loaders of made windows."""

    def __init__(self, windows: dict[str, Windows]) -> None:
        super().__init__()
        self.windows = windows

    def _load(self, name: str) -> Any:
        own = self.windows[name]
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(own.x, own.y), batch_size=16)

    def train_dataloader(self) -> Any:
        return self._load("train")

    def val_dataloader(self) -> Any:
        return self._load("val")

    def test_dataloader(self) -> Any:
        return self._load("test")


def train(tmp_path: Path, net: ForecastCombination, **options: Any) -> tuple[pl.Trainer, SeriesForecaster, Data]:
    torch.manual_seed(0)
    data = Data(split(seasonal()))
    model = SeriesForecaster(net, loss="quantile", calibrate=True, lr=0.0001)
    trainer = pl.Trainer(
        **{
            "default_root_dir": tmp_path,
            "accelerator": "cpu",
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "max_epochs": 5,
            **options,
        }
    )
    trainer.fit(model, datamodule=data)
    return trainer, model, data


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_fit_is_one_epoch_that_keeps_the_solution(tmp_path: Path) -> None:
    net = build()
    trainer, model, data = train(tmp_path, net)
    assert trainer.current_epoch == 1
    assert not net.correction.weight.any()
    assert {"loss", "mae"} <= set(model.history)
    direct = build().eval()
    # Loaders do not tell which series a window is of.
    collected = [CollectedWindows([(own.x, own.y)]) for own in (data.windows["train"], data.windows["val"])]
    with torch.no_grad():
        direct.fit_windows(*collected, LEVELS)
    x = data.windows["test"].x
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(model(x), direct(x))
    assert (model.conformal_scale == 1).all(), "the net's own intervals are conformal"
    path = tmp_path / "net.ckpt"
    trainer.save_checkpoint(path)
    loaded = SeriesForecaster.load(path, net=build())
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), model.eval()(x), atol=0, rtol=0)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_val_is_scored_by_the_fit_on_train_alone(tmp_path: Path) -> None:
    trainer, model, data = train(tmp_path, build())
    own, used = data.windows["val"].x, {}
    net = model.net
    with torch.no_grad():
        net.eval()
        for name, is_refit in (("train", False), ("both", True)):
            net.is_refit = is_refit
            used[name] = net(own)
    assert (used["train"] - used["both"]).abs().max() > 1e-4
    expected = float((used["train"][..., 1] - data.windows["val"].y).abs().mean())
    assert trainer.validate(model, datamodule=data, verbose=False)[0]["val_mae"] == pytest.approx(expected, rel=1e-4)
    assert model.history["val_mae"].iloc[-1] == pytest.approx(expected, rel=1e-4)
    predicted = torch.cat(trainer.predict(model, data.val_dataloader()))  # type: ignore[arg-type]
    torch.testing.assert_close(predicted, used["both"])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_gradient_begins_from_the_solution(tmp_path: Path) -> None:
    net = build(gradient_from=1)
    _, model, _ = train(tmp_path, net, max_epochs=2)
    assert net.learns_by_gradient
    assert net.correction.weight.any()
    losses = model.history["loss"].tolist()
    assert losses[1] < losses[0] * 1.5, "the first epoch scores other batches"


@pytest.mark.slow
def test_it_is_exported() -> None:
    net, windows = fitted(seasonal(length=100))
    program = torch.export.export(net, (windows["test"].x[:3],), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    x = windows["test"].x[:5]
    torch.testing.assert_close(program.module()(x), net(x))
