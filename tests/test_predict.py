"""The command predict.py, from a checkpoint alone."""

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import write_csv

from scripts.predict import main

Fit = Callable[..., tuple[int, str, str]]
Predict = Callable[..., tuple[int, str, str]]
TEXTS = ["a good film", "a bad film", "a lovely great film", "dreadful", "fine"]
LABELS = ["pos", "neg", "pos", "neg", "pos"]


@pytest.fixture
def predict(fit: Fit, reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Predict:
    """The command on the checkpoint of a trained run, in a place where nothing else of the run is."""
    fit("--task", "text", "--data.source", reviews, "--quiet", "--model.net.num_buckets", "1000")
    checkpoint = tmp_path / "moved.ckpt"
    (tmp_path / "runs/text/version_0/checkpoints/last.ckpt").rename(checkpoint)
    reviews.unlink()
    capsys.readouterr()

    def run(*args: object) -> tuple[int, str, str]:
        code = main([str(checkpoint), *map(str, args)])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def test_texts_on_the_line(predict: Predict) -> None:
    code, out, err = predict(*TEXTS)
    assert (code, err) == (0, "")
    rows = [line.split(maxsplit=3) for line in out.splitlines()[1:]]
    assert [row[1] for row in rows] == LABELS
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row[3] for row in rows] == TEXTS
    assert all(0.5 < float(row[2]) <= 1 for row in rows)


def test_every_kind_of_input_gives_the_same_rows(predict: Predict, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.txt").write_text("\n".join(TEXTS) + "\n")
    write_csv(Path("b.csv"), [(text, "?") for text in TEXTS], header=("review", "other"))
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(TEXTS)))
    for number, args in enumerate([TEXTS, ["a.txt"], ["b.csv", "--column", "review"], ["-"]]):
        code, out, err = predict(*args, "-o", f"{number}.csv", "--batch_size", number + 1)
        assert (code, err) == (0, "")
        assert out == f"5 rows in {number}.csv\n"
    tables = [pd.read_csv(f"{number}.csv") for number in range(4)]
    assert list(tables[0]) == ["row", "label", "probability"]
    assert tables[0]["label"].tolist() == LABELS
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])


def test_column_by_position(predict: Predict) -> None:
    write_csv(Path("b.csv"), [("?", text) for text in TEXTS], header=None)
    code, out, _ = predict("b.csv", "--column", "1")
    assert code == 0
    assert [line.split()[1] for line in out.splitlines()[1:]] == LABELS


@pytest.mark.parametrize(
    ("args", "code", "problem"),
    [
        (["nope.csv"], 2, "no file at 'nope.csv'"),
        (["b.csv"], 2, "b.csv, line 2: no column 'text'; the row has: 'review'. .*--column"),
        (["a", "--gpus", "99"], 2, "--gpus 99 asks for a GPU"),
        (["a", "-o", "no/out.csv"], 2, "no folder '.*no' to write out.csv into"),
        (["a", "--batch_size", "0"], 2, "--batch_size of at least 1, received 0"),
        ([""], 1, "the input '', line 1: the text is empty"),
        (["a.txt"], 1, "a.txt, line 2: the text is empty"),
    ],
)
def test_what_goes_wrong(args: list[str], code: int, problem: str, predict: Predict) -> None:
    Path("a.txt").write_text("good\n\nbad\n")
    write_csv(Path("b.csv"), [("good",)], header=("review",))  # type: ignore[list-item]
    received, out, err = predict(*args)
    assert received == code
    assert pd.Series([err]).str.contains(problem).all(), err
    assert out == ""


def test_images(fit: Fit, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit("--task", "images", "--data.root", "images", "--quiet", "--data.num_workers", 0, "--trainer.max_epochs", 12)
    (tmp_path / "runs/images/version_0/checkpoints/last.ckpt").rename("moved.ckpt")
    images.rename("elsewhere")
    capsys.readouterr()
    assert main(["moved.ckpt", "elsewhere", "elsewhere/dark/03.png", "-o", "out.csv"]) == 0
    assert capsys.readouterr().out == "41 rows in out.csv\n"
    table = pd.read_csv("out.csv")
    assert list(table) == ["row", "label", "probability", "file"]
    assert table["file"].iloc[[0, 20, 40]].tolist() == [
        "elsewhere/bright/00.png",
        "elsewhere/dark/00.png",
        "elsewhere/dark/03.png",
    ]
    assert (table["label"] == table["file"].str.split("/").str[1]).mean() > 0.9
    assert main(["moved.ckpt", "elsewhere/dark/03.png"]) == 0
    assert capsys.readouterr().out.split()[-1] == "elsewhere/dark/03.png"
    Path("bad.jpg").write_bytes(b"no image")
    for args, code, problem in (
        (["nope.png"], 2, "no image or folder at 'nope.png'"),
        (["bad.jpg"], 1, "bad.jpg: no image, or one that is cut off: its first bytes are b'no image'"),
        (["elsewhere", "--column", "a"], 2, "images have no columns"),
    ):
        assert main(["moved.ckpt", *args]) == code
        assert problem in capsys.readouterr().err


def test_checkpoint_of_a_model_trained_in_python(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": {}, "hyper_parameters": {"lr": 0.1}}, "a.ckpt")
    assert main(["a.ckpt", "text"]) == 1
    assert "expected one that scripts/fit.py wrote" in capsys.readouterr().err


def test_checkpoint_of_another_projects_data(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": {}, "datamodule_hyper_parameters": {"_class_path": "elsewhere.Data"}}, "a.ckpt")
    assert main(["a.ckpt", "text"]) == 1
    err = capsys.readouterr().err
    assert "data is of elsewhere.Data, which cannot be built here" in err
    assert len(err.splitlines()) == 1


def test_checkpoint_of_something_else(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.ckpt").write_bytes(b"no checkpoint")
    assert main(["a.ckpt", "text"]) == 1
    assert main(["b.ckpt", "text"]) == 2
    err = capsys.readouterr().err
    assert "'a.ckpt' cannot be" in err
    assert "no checkpoint at 'b.ckpt'; there are: a.ckpt" in err
