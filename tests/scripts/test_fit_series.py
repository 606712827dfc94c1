"""The commands fit.py and predict.py on series."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import make_series

from lightfit.checkpoint import read_checkpoint
from lightfit.lightning_modules import LightModel
from lightfit.scripts.features import main as features
from lightfit.scripts.predict import main as predict

Fit = Callable[..., tuple[int, str, str]]
SERIES = ("--task", "series", "--data.path", "series.csv", "--data.target", "load", "--trainer.max_epochs", 2)
LAST = "runs/series/version_0/checkpoints/last.ckpt"


def test_a_file_and_a_column_are_enough(fit: Fit, series: Path) -> None:
    code, out, err = fit(*SERIES)
    assert (code, err) == (0, "")
    assert out.index("240 rows, 2024-01-01 00:00:00 to") < out.index("epoch = 0")
    assert re.search(r"test, MAE in the units of 'load', MASE, WAPE: the net \S+, .*; seasonal naive \S+, ", out)
    table = pd.read_csv("runs/series/version_0/series.csv")
    assert table[["series", "windows"]].to_numpy().tolist() == [["all", 25]]
    assert {"mase", "wape", "coverage", "naive_mase", "beaten_by_naive"} <= set(table)
    assert re.search(r"predict.py runs/series/version_0/checkpoints/best\S+ series.csv", out)
    assert Path("runs/series/version_0/backtest.csv").is_file()


@pytest.mark.slow
def test_predict_forecasts_from_the_end_of_the_file(fit: Fit, series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(*SERIES, "--trainer.max_epochs", 15, "--model.lr", 0.02, "--trainer.callbacks", "null", "--quiet")
    assert predict([LAST, "series.csv", "-o", "out.csv"]) == 0
    assert "24 rows in out.csv" in capsys.readouterr().out
    table = pd.read_csv("out.csv", parse_dates=["date"])
    assert list(table) == ["date", "load_q10", "load", "load_q90", "error"]
    assert table["date"].tolist() == list(pd.date_range("2024-01-11", periods=24, freq="h"))
    assert (table["load_q10"] <= table["load"]).all()
    assert (table["load"] <= table["load_q90"]).all()
    truth = make_series(264)["load"].iloc[240:]
    assert np.abs(table["load"].to_numpy() - truth.to_numpy()).mean() < 0.5  # its amplitude is 3


def test_predict_from_the_checkpoint_alone(fit: Fit, series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(*SERIES, "--quiet")
    series.unlink()
    make_series(100, first=7).to_csv("other.csv", index=False)
    assert predict([LAST, "other.csv"]) == 0
    assert "2024-01-05 04:00:00" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["input", "error"])
def test_a_target_may_have_any_name(name: str, fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    make_series().rename(columns={"load": name}).to_csv("series.csv", index=False)
    fit(*SERIES, "--data.target", name, "--quiet")
    assert predict([LAST, "series.csv", "-o", "out.csv"]) == 0
    assert pd.read_csv("out.csv")[name].between(0, 30).all()


@pytest.mark.slow
def test_a_bad_file_is_a_row(fit: Fit, series: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(*SERIES, "--quiet")
    Path("short.csv").write_text("date,load\n2024-01-01 00:00,high\n2024-01-01 01:00,2\n")
    monkeypatch.setattr("sys.stdin", io.StringIO(series.read_text()))
    assert predict([LAST, "short.csv", "series.csv", "-", "nope.csv", "-o", "out.csv"]) == 2
    assert not Path("out.csv").exists()
    monkeypatch.setattr("sys.stdin", io.StringIO(series.read_text()))
    assert predict([LAST, "short.csv", "series.csv", "-", "-o", "out.csv", "--batch_size", "1"]) == 1
    table = pd.read_csv("out.csv")
    assert len(table) == 1 + 24 + 24
    assert "short.csv, row 1: 'high' in the column 'load'" in table["error"][0]
    assert table["error"][1:].isna().all()
    assert table["load"][1:25].tolist() == table["load"][25:].tolist()


@pytest.mark.parametrize(
    ("args", "code", "problem"),
    [
        (["nope.csv"], 2, "no file at 'nope.csv'"),
        (["short.csv"], 1, "short.csv: expected at least 48 rows, the lookback of the training, received 9"),
        (["daily.csv"], 1, "Expected steps of h, as in training: resample the table"),
        (["lacks.csv"], 1, "lacks.csv has no column 'load'"),
        (["series.csv", "--column", "load"], 2, "received --column load: leave it out"),
    ],
)
def test_errors_of_predict(
    args: list[str], code: int, problem: str, trained: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    trained("series")
    make_series(9).to_csv("short.csv", index=False)
    make_series(100, "D").to_csv("daily.csv", index=False)
    make_series(100).drop(columns="load").to_csv("lacks.csv", index=False)
    assert predict([LAST, *args]) == code
    assert problem in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "code", "problem"),
    [
        (("--data.path", "nope.csv"), 2, "no file at 'nope.csv'"),
        (("--data.target", "laod"), 2, "no column 'laod'; the nearest: load"),
        (("--data.horizon", 0), 2, "expected --data.horizon of at least 1, received 0"),
        (("--data.horizon", 200), 1, "expected at least 201 rows in train"),
        (("--data.split", "[0.9,0.2,0.2]"), 2, "three fractions"),
        (
            ("--data.fill", "zero"),
            2,
            "data.fill: expected 'error' or 'forward' or 'interpolate' or 'mask', received zero",
        ),
        (("--data.columns.tmie", "date"), 2, "unknown key 'data.columns.tmie'; the nearest: data.columns.time"),
        (("--model.units", "{}"), 2, "model.units comes from the data: leave it out"),
        (("--model.net.horizon", 3), 2, "model.net.horizon comes from the data: leave it out"),
        (("--model.net.num_quantiles", 3), 2, "model.net.num_quantiles comes from --model.quantiles: leave it out"),
        (("--model.quantiles", "[0.1,0.9]"), 2, "quantiles that rise"),
        (("--model.net", "lightfit.nets.GrowthLSTM"), 2, "one step ahead, received horizon 24"),
    ],
)
def test_errors(args: tuple[object, ...], code: int, problem: str, fit: Fit, series: Path) -> None:
    received, _, err = fit(*SERIES, *args)
    assert (received, len(err.splitlines())) == (code, 1), err
    assert problem in err


@pytest.mark.slow
def test_a_checkpoint_rebuilds_net_and_quantiles(fit: Fit, series: Path) -> None:
    fit(*SERIES, "--model.quantiles", "[0.05,0.25,0.5,0.75,0.95]", "--quiet")
    model = LightModel.load(LAST)
    assert model.quantiles == (0.05, 0.25, 0.5, 0.75, 0.95)
    assert model.net is not None
    assert model.net.num_quantiles == 5
    held = read_checkpoint(LAST)["SeriesDataModule"]["codec"]
    assert held["state"]["roles"]["targets"] == ["load"]


@pytest.mark.slow
def test_a_resumed_run_on_series_equals_an_uninterrupted_one(fit: Fit, series: Path) -> None:
    whole = ("--trainer.max_epochs", 4, "--model.schedule", "constant", "--trainer.callbacks", "null")
    whole += ("--model.net", "lightfit.nets.NLinear", "--data.lookback", 48, "--data.batch_size", 32)
    assert fit(*SERIES, *whole)[0] == 0
    assert fit(*SERIES, *whole, "--trainer.max_epochs", 2)[0] == 0
    last = "runs/series/version_1/checkpoints/last.ckpt"
    assert fit(*SERIES, *whole, "--ckpt_path", last)[0] == 0
    histories = [pd.read_csv(f"runs/series/version_{version}/history.csv") for version in (0, 1)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)


@pytest.mark.slow
def test_a_constant_column_is_named(fit: Fit) -> None:
    make_series().assign(load=7.0).to_csv("series.csv", index=False)
    code, out, err = fit(*SERIES)
    assert code == 0, err
    assert "warning: the target 'load' has one value alone: there is nothing to forecast" in out
    assert predict([LAST, "series.csv", "-o", "out.csv"]) == 0
    assert pd.read_csv("out.csv")["load"].tolist() == pytest.approx([7] * 24, rel=1e-5)


@pytest.mark.slow
def test_feature_maps_of_a_series(fit: Fit, series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(*SERIES, "--model.net", "lightfit.nets.SparseTSF", "--quiet")
    assert features([LAST, "series.csv", "-o", "maps.png"]) == 0
    assert "conv: (1, 240)" in capsys.readouterr().out
