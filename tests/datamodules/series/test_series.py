"""SeriesDataModule: windows, splits, scaling, covariates, gaps, several series, and forecasts from a codec."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_series

from lightfit.datamodules import DataError, SeriesColumns, SeriesDataModule
from lightfit.datamodules.series.differences import undo_differences
from lightfit.datamodules.series.sources import DOWNLOADS, locate
from lightfit.scripts.inference.inputs.series import SeriesInputs

NAN = float("nan")


def counting(num_rows: int = 30, **columns: Any) -> Path:
    """Write a table whose column `a` counts from 0."""
    dates = pd.date_range("2024-01-01", periods=num_rows)
    pd.DataFrame({"date": dates, "a": np.arange(float(num_rows)), **columns}).to_csv("a.csv", index=False)
    return Path("a.csv")


def small(path: str | Path = "a.csv", **options: Any) -> SeriesDataModule:
    given = {"lookback": 4, "horizon": 2, "split": (20.0, 5.0, 5.0), "scale": "none", "batch_size": 100}
    module = SeriesDataModule(str(path), **{**given, **options})
    module.setup()
    return module


def read(module: SeriesDataModule, *arguments: Any) -> list[Any]:
    return SeriesInputs(module.codec).read(*arguments)  # type: ignore[arg-type]


def all_of(data: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return data[torch.arange(len(data))]


def test_windows_of_each_split() -> None:
    counting()
    module = small()
    x, y = all_of(module.train_data)
    assert x.shape == (15, 4, 1)
    assert y.shape == (15, 2, 1)
    assert x.dtype == y.dtype == torch.float32
    assert x[0, :, 0].tolist() == [0, 1, 2, 3]
    assert y[0, :, 0].tolist() == [4, 5]
    assert y[-1, :, 0].tolist() == [18, 19]
    x, y = all_of(module.val_data)  # the lookback lies in train, the targets do not
    assert x[:, 0, 0].tolist() == [16, 17, 18, 19]
    assert y[:, :, 0].tolist() == [[20, 21], [21, 22], [22, 23], [23, 24]]
    assert all_of(module.test_data)[1][:, 0, 0].tolist() == [25, 26, 27, 28]


def test_windows_are_views_of_one_matrix() -> None:
    counting()
    module = small()
    splits: Any = [module.train_data, module.val_data, module.test_data]
    assert len({split.past.data_ptr() for split in splits}) == 1
    assert splits[0].past.stride() == (1, 1)


def test_evaluation_has_every_window_and_no_batch_is_dropped() -> None:
    counting()
    module = small(stride=5, batch_size=3)
    assert len(module.train_data) == 3
    assert [len(x) for x, _ in module.val_dataloader()] == [3, 1]
    assert [len(x) for x, _ in module.test_dataloader()] == [3, 1]


def test_scaling_comes_from_the_training_split() -> None:
    counting()
    module = small(scale="standard")
    train = np.arange(20.0)
    assert module.codec.units["mean"] == pytest.approx([train.mean()])
    assert module.codec.units["std"] == pytest.approx([train.std()])
    _, y = all_of(module.test_data)
    assert module.codec.unscale(y)[0, :, 0].tolist() == pytest.approx([25, 26])


def test_without_val_training_is_watched_on_itself() -> None:
    counting()
    module = small(split=(1.0, 0.0, 0.0))
    assert module.val_data is module.train_data
    assert module.test_data is None
    assert "no val split, so validation uses the training windows" in module.describe()


def test_sizes_are_found(series: Path) -> None:
    module = SeriesDataModule(str(series), target="load")
    module.setup()
    assert (module.codec.season, module.codec.horizon, module.codec.lookback) == (24, 24, 48)
    assert (module.codec.num_targets, module.codec.num_features) == (1, 1)
    assert module.describe() == (
        f"{series}: 240 rows, 2024-01-01 00:00:00 to 2024-01-10 23:00:00 by h; target: load; lookback 48, horizon 24, "
        "season 24; 90 train windows on 161 rows, 8 val windows on 31 rows, 25 test windows on 48 rows"
    )


def test_sizes_fit_short_series() -> None:
    counting(47)
    module = SeriesDataModule("a.csv")
    module.setup()
    assert (module.codec.season, module.codec.horizon, module.codec.lookback) == (7, 5, 7)
    assert len(module.val_data) == 7


def test_changes_from_step_to_step() -> None:
    counting(b=np.arange(30.0) ** 2)
    x, _ = all_of(small(diff=1, split=(19.0, 5.0, 5.0)).train_data)
    assert x[0].tolist() == [[1, 1], [1, 3], [1, 5], [1, 7]]
    x, _ = all_of(small(diff=2, split=(18.0, 5.0, 5.0)).train_data)
    assert x[0].tolist() == [[0, 2]] * 4


@pytest.mark.parametrize("diff", [0, 1, 2])
def test_changes_are_undone_in_forecasts(diff: int) -> None:
    counting(b=np.arange(30.0) ** 2)
    module = small(diff=diff, split=(16.0, 5.0, 5.0))
    (window,) = read(module, ["a.csv"])
    real = np.stack([np.arange(32.0), np.arange(32.0) ** 2], 1)
    changes = np.diff(real, diff, axis=0)[-2:]
    table = module.codec.decode([window], torch.from_numpy(changes[None]).float())
    assert table["date"].astype(str).tolist() == ["2024-01-31", "2024-02-01"]
    np.testing.assert_allclose(table[["a", "b"]], real[-2:])


def test_differences_of_each_quantile_are_undone() -> None:
    changes = np.array([[[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]]])  # (P, C, Q)
    assert undo_differences(changes, [np.array([10.0])]).tolist() == [[[11, 12, 13]], [[12, 14, 16]]]


def test_covariates_stand_after_the_targets_and_known_ones_look_ahead() -> None:
    counting(warm=np.arange(30.0) + 100, free=np.arange(30.0) + 200)
    module = small(target="a", columns=SeriesColumns(past=("warm",), known=("free",)))
    x, y = all_of(module.train_data)
    assert module.codec.num_features == x.shape[2] == 4
    assert y.shape[2] == module.codec.num_targets == 1
    assert x[0].tolist() == [[0, 100, 200, 202], [1, 101, 201, 203], [2, 102, 202, 204], [3, 103, 203, 205]]


def test_what_is_known_ahead_is_needed_in_prediction() -> None:
    counting(free=1.0 * np.arange(30))
    module = small(target="a", columns=SeriesColumns(known=("free",)))
    with pytest.raises(DataError, match=r"expected 2 rows after the last known target, .* \(free\), received 0"):
        read(module, ["a.csv"])
    counting(32, free=1.0 * np.arange(32))
    table = pd.read_csv("a.csv")
    table.loc[30:, "a"] = NAN
    table.to_csv("ahead.csv", index=False)
    (window,) = read(module, ["ahead.csv"])
    assert window.x.tolist() == [[26, 26, 28], [27, 27, 29], [28, 28, 30], [29, 29, 31]]
    assert window.times[0] == pd.Timestamp("2024-01-31")
    ahead = small("ahead.csv", target="a", columns=SeriesColumns(known=("free",)))  # rows without a target are no rows
    assert len(ahead.test_data or ()) == 4


def test_masked_values_are_flagged_in_the_input_and_not_forecast() -> None:
    values = np.arange(30.0)
    values[[2, 7, 8]] = NAN
    counting(a=values)
    module = small(fill="mask")
    x, y = all_of(module.train_data)
    assert module.codec.num_features == x.shape[2] == 2
    assert x[0].tolist() == [[0, 0], [1, 0], [1, 1], [3, 0]]
    assert y[2, :, 0].isnan().tolist() == [False, True]
    assert len(x) == 14  # the window whose every target is missing is left out


def test_windows_stay_within_their_series() -> None:
    one, two = make_series(60, "D"), make_series(50, "D", first=1000)
    pd.concat([one.assign(shop="x"), two.assign(shop="y")]).to_csv("shops.csv", index=False)
    module = SeriesDataModule(
        "shops.csv",
        target="load",
        columns=SeriesColumns(series_id="shop"),
        lookback=5,
        horizon=3,
        split=(0.5, 0.2, 0.3),
    )
    module.setup()
    assert "110 rows of 2 series" in module.describe()
    assert [len(split) for split in (module.train_data, module.val_data)] == [23 + 18, 10 + 8]
    x, y = all_of(module.train_data)
    whole = torch.cat([x[..., :1], y], 1)
    assert (whole[:, 1:] - whole[:, :-1]).abs().max() < 1  # from one series to the other it is 10
    windows = read(module, ["shops.csv"])
    assert [window.name for window in windows] == ["x", "y"]
    table = module.codec.decode(windows, torch.zeros(2, 3, 1))
    assert list(table.columns) == ["shop", "date", "load"]
    assert table["shop"].tolist() == ["x"] * 3 + ["y"] * 3


def test_a_series_that_training_never_saw_is_forecast_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    make_series(60, "D").assign(shop="x").to_csv("shops.csv", index=False)
    make_series(60, "D").assign(shop="z").to_csv("new.csv", index=False)
    module = SeriesDataModule("shops.csv", columns=SeriesColumns(series_id="shop"), lookback=5, horizon=3)
    module.setup()
    with caplog.at_level(logging.WARNING):
        assert len(read(module, ["new.csv"])) == 1
    assert "new.csv: forecasting series that were not in the training data: z" in caplog.text


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"horizon": 0}, "expected `horizon` of at least 1, received 0"),
        ({"lookback": 0}, "expected `lookback` of at least 1, received 0"),
        ({"diff": -1}, "expected `diff` of at least 0, received -1"),
        ({"lookback": 30}, "expected at least 32 rows in train, lookback 30 plus horizon 2, received 20"),
        ({"horizon": 6}, "expected at least 6 rows in val, the horizon, received 5"),
        ({"split": (30.0, 5.0, 5.0)}, "asks for 40 rows, and there are 30"),
        ({"freq": "5D"}, "irregular time steps: 2024-01-02 00:00:00 is not a multiple of 5D"),
        ({"freq": "12h"}, "29 of 59 steps of 12h are missing, the first 2024-01-01 12:00:00"),
        ({"target": "c"}, "no column 'c'"),
    ],
)
def test_what_cannot_be_done(options: dict[str, Any], problem: str) -> None:
    counting(b=7)
    with pytest.raises((DataError, ValueError, LookupError), match=problem):
        small(**options)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda table: table.drop(columns="a"), "new.csv has no column 'a'"),
        (lambda table: table.head(3), "expected at least 4 rows, the lookback of the training, received 3"),
        (
            lambda table: table.iloc[::2],
            "14 of 29 steps of D are missing, .* Expected steps of D, as in training: resample the table",
        ),
        (lambda table: table.drop(index=25), "1 of 30 steps of D are missing, the first 2024-01-26"),
        (lambda table: table.replace({"a": {28.0: NAN}}), "1 values of the column 'a'"),
    ],
)
def test_tables_that_cannot_be_forecast(change: Any, problem: str) -> None:
    counting()
    module = small()
    change(pd.read_csv("a.csv")).to_csv("new.csv", index=False)
    with pytest.raises((DataError, LookupError), match=problem):
        read(module, ["new.csv"])


def test_columns_are_not_asked_for_in_prediction() -> None:
    counting()
    with pytest.raises(LookupError, match="received --column a: leave it out"):
        read(small(), ["a.csv"], "a")


def test_a_checkpoint_holds_what_forecasts_need() -> None:
    counting(b=np.arange(30.0) ** 2)
    module = small(target="b", diff=1, scale="standard", split=(0.6, 0.2, 0.2))
    again = SeriesDataModule("gone.csv", diff=1)
    again.load_state_dict(module.state_dict())
    assert again.codec.to_dict() == module.codec.to_dict()
    samples = read(again, ["a.csv"])
    assert torch.equal(again.codec.encode(samples), module.codec.encode(read(module, ["a.csv"])))
    pd.testing.assert_frame_equal(
        again.codec.decode(samples, torch.zeros(1, 2, 1)), module.codec.decode(samples, torch.zeros(1, 2, 1))
    )


def test_steps_have_ticks() -> None:
    counting()
    assert small().codec.ticks(torch.zeros(3, 1)) == ["-3", "-2", "-1"]


def test_the_bundled_series_is_there() -> None:
    module = SeriesDataModule("seattle-temps", fill="interpolate")
    module.setup()
    assert "8,760 rows, 2010-01-01 00:00:00 to 2010-12-31 23:00:00 by h; target: temp" in module.describe()
    with pytest.raises(DataError, match="1 of 8760 steps of h are missing, the first 2010-03-14 03:00:00"):
        SeriesDataModule("seattle-temps").setup()


def test_published_series_come_from_where_they_are_published(
    server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder = server
    (folder / "c.csv").write_text("date\ta\n2020-01-24\t1\n")
    digest = "0" * 64
    monkeypatch.setitem(
        DOWNLOADS, "covid-19", DOWNLOADS["covid-19"]._replace(url=f"{address}/c.csv", sha256=digest, size_bytes=20)
    )
    with pytest.raises(DataError, match="another checksum"):
        locate("covid-19", Path("data"))
    assert list(Path("data").glob("[!.]*")) == []
    monkeypatch.setitem(DOWNLOADS, "etth1", DOWNLOADS["etth1"]._replace(url=f"{address}/no.csv"))
    with pytest.raises(ConnectionError, match="put the file at .*ETTh1.csv"):
        locate("etth1", Path("data"))


@pytest.mark.parametrize(
    ("path", "problem"), [("", "which series"), ("no.csv", "no file at 'no.csv'.*seattle-temps, covid-19, etth1")]
)
def test_paths_that_do_not_exist(path: str, problem: str) -> None:
    with pytest.raises((LookupError, FileNotFoundError), match=problem):
        SeriesDataModule(path).setup()
