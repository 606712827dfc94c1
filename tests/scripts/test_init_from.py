"""fit.py --init_from: the weights and the codec of another run, on other data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_images, make_series, write_csv

from lightfit.checkpoint import read_checkpoint
from lightfit.datamodules import load_codec
from lightfit.scripts.evaluate import main as evaluate
from lightfit.scripts.predict import main as predict

Fit = Callable[..., tuple[int, str, str]]
NEWS = [(f"a fine splendid film, number{index}", "pos") for index in range(20)]
NEWS += [(f"a dreadful tedious film, number{index}", "neg") for index in range(20, 40)]


@pytest.mark.slow
def test_texts_keep_vocabulary_and_classes(
    fit: Fit, trained: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    first = trained("text")
    write_csv(Path("news.csv"), NEWS)
    args = ("--init_from", first, "--data.source", "news.csv", "--quiet")
    code, _, err = fit(*args, "--trainer.max_epochs", 2, "--model.lr", 1e-9)
    assert code == 0, err
    again = "runs/text/version_1/checkpoints/last.ckpt"  # the configuration is that of the first run
    before, after = read_checkpoint(first), read_checkpoint(again)
    assert load_codec(before).to_dict() == load_codec(after).to_dict()
    for name, weight in before["state_dict"].items():
        assert torch.allclose(weight.float(), after["state_dict"][name].float(), atol=1e-3), name
    assert evaluate([again, "--gpus", "0"]) == 0  # on its own val split, by the codec of the first run
    assert "val of news.csv, 8 samples" in capsys.readouterr().out
    longer = ("--task", "runs/text/version_1/config.yaml", "--data.source", "news.csv", "--quiet", "--gpus", 0)
    code, _, err = fit(*longer, "--resume", "runs/text/version_1", "--trainer.max_epochs", 3, "--model.lr", 1e-9)
    assert code == 0, err
    assert len(pd.read_csv("runs/text/version_1/history.csv")) == 3


@pytest.mark.slow
def test_images_keep_classes_and_size(fit: Fit, trained: Callable[[str], str]) -> None:
    first = trained("images")
    make_images(Path("others"))
    code, _, err = fit("--init_from", first, "--data.root", "others", "--trainer.max_epochs", 1, "--quiet")
    assert code == 0, err
    codecs = [load_codec(read_checkpoint(f"runs/images/version_{number}/checkpoints/last.ckpt")) for number in (0, 1)]
    assert codecs[0].to_dict() == codecs[1].to_dict()


@pytest.mark.slow
def test_series_keep_their_scale(fit: Fit) -> None:
    table = make_series(300)
    table.head(200).to_csv("old.csv", index=False)
    args = ("--data.target", "load", "--quiet", "--model.net", "lightfit.nets.NLinear", "--data.lookback", 48)
    code, _, err = fit("--task", "series", "--data.path", "old.csv", *args, "--trainer.max_epochs", 3)
    assert code == 0, err
    table.to_csv("new.csv", index=False)
    first = "runs/series/version_0/checkpoints/last.ckpt"
    code, _, err = fit("--init_from", first, "--data.path", "new.csv", "--trainer.max_epochs", 1, "--quiet")
    assert code == 0, err
    second = "runs/series/version_1/checkpoints/last.ckpt"
    old, new = (load_codec(read_checkpoint(path)).to_dict() for path in (first, second))
    assert [new[name] for name in ("mean", "std", "horizon")] == [old[name] for name in ("mean", "std", "horizon")]
    assert evaluate([second, "--gpus", "0"]) == 0
    assert predict([second, "new.csv", "-o", "out.csv"]) == 0


def test_other_nets_are_refused(fit: Fit, trained: Callable[[str], str]) -> None:
    first = trained("series")
    args = (
        "--task",
        "series",
        "--data.path",
        "series.csv",
        "--data.target",
        "load",
        "--model.net",
        "lightfit.nets.NLinear",
    )
    code, _, err = fit("--init_from", first, *args, "--quiet")
    assert code == 2
    assert "--init_from: the checkpoint's net is ForecastCombination, and its weights do not fit" in err
    assert "config.yaml" in err
    code, _, err = fit("--init_from", "nope.ckpt", *args, "--quiet")
    assert code == 2
    assert "nope.ckpt" in err


def test_forecasts_beyond_the_horizon_start_from_forecasts(
    trained: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = trained("series")
    assert predict([checkpoint, "series.csv", "-o", "one.csv"]) == 0
    assert predict([checkpoint, "series.csv", "-o", "three.csv", "--horizon", "60"]) == 0
    one, three = pd.read_csv("one.csv"), pd.read_csv("three.csv", parse_dates=["date"])
    assert len(three) == 60
    np.testing.assert_allclose(three["load"][:24], one["load"])
    assert (three["date"].diff()[1:] == pd.Timedelta("1h")).all()
    season = three["load"].to_numpy()
    np.testing.assert_allclose(season[36:60], season[12:36], atol=2)  # it goes on with its season
    assert "--horizon 60 is beyond the 24 steps of the training: later ones are forecast from forecasts" in (
        capsys.readouterr().err
    )
    assert predict([checkpoint, "series.csv", "--horizon", "5", "-o", "five.csv"]) == 0
    assert len(pd.read_csv("five.csv")) == 5
    assert predict([checkpoint, "series.csv", "--horizon", "0"]) == 2
    assert "expected --horizon of at least 1, received 0" in capsys.readouterr().err
