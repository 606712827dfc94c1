"""The command evaluate.py, from a checkpoint only, in all three domains."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_images, make_reviews, make_series, write_csv

from lightfit.callbacks.pictures.confusion import find_confused_pairs, plot_confusion_matrix
from lightfit.scripts.evaluate import main
from lightfit.scripts.evaluation.page import render_report
from lightfit.scripts.evaluation.result import Evaluation
from lightfit.scripts.predict import main as predict


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["--gpus", "0", *map(str, args)])
    return code, *capsys.readouterr()


def scores(path: str) -> dict[str, Any]:
    written = json.loads(Path(path).read_text())
    return {row["metric"]: row["value"] for row in written["metrics"]} | {"num_samples": written["num_samples"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "headline"), [("text", "accuracy"), ("images", "accuracy"), ("series", "mae_original")]
)
def test_own_data(task: str, headline: str, trained: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained(task)
    code, out, err = run(capsys, checkpoint, "--split", "val")
    assert (code, err) == (0, "")
    folder = Path(f"runs/{task}/version_0/evaluation")
    found = scores(folder / "evaluation.json")
    history = pd.read_csv(folder.parent / "history.csv").iloc[-1]
    # Calibration changes the loss of intervals.
    for name in (headline, "loss") if task != "series" else (headline,):
        assert found[name] == pytest.approx(history[f"val_{name}"], rel=1e-4, abs=1e-6), name
    interval = "95 % interval" if task != "series" else "too few samples for"  # a single window
    assert re.search(rf"{headline} \d\.\d+(e-\d+)? \({interval}", out)
    written = json.loads((folder / "evaluation.json").read_text())
    row = next(row for row in written["metrics"] if row["metric"] == headline)
    assert task == "series" or row["low"] <= row["value"] <= row["high"]
    page = (folder / "report.html").read_text()
    table = pd.read_csv(folder / "most_wrong.csv") if task != "series" else pd.DataFrame()
    assert page.count("data:image/png;base64,") == 2 + (len(table) if task == "images" else 0)
    assert "evaluate.py" in page
    assert "sha256" in page
    if task != "series":
        assert list(table) == ["file", "true", "predicted", "probability", "probability_of_true"]
        assert len(table) == round((1 - found["accuracy"]) * found["num_samples"])
        pd.testing.assert_frame_equal(table, pd.read_csv(folder.parent / "most_wrong.csv"))
    assert "http" not in page
    code, _, err = run(capsys, checkpoint)
    assert code == 2
    assert "evaluation.json' already exists: choose another name, or replace it with --overwrite" in err
    assert run(capsys, checkpoint, "--overwrite")[0] == 0


def test_other_texts(trained: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("text")
    write_csv(Path("new.csv"), [(text, label) for text, label in make_reviews(20)], header=("review", "stars"))
    Path("reviews.csv").unlink()
    other = ("--data.source", "new.csv", "--data.text_column", "review", "--data.label_column", "stars")
    code, out, _ = run(capsys, checkpoint, *other, "-o", "out")
    assert code == 0
    assert "all of new.csv, 20 samples" in out
    assert predict([checkpoint, "new.csv", "--column", "review", "-o", "out.csv"]) == 0
    right = pd.read_csv("out.csv")["label"] == pd.read_csv("new.csv")["stars"]
    assert scores("out/evaluation.json")["accuracy"] == right.mean()


@pytest.mark.slow
def test_classes_called_true_and_false(fit: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(text, {"pos": "true", "neg": "false"}[label]) for text, label in make_reviews()]
    write_csv(Path("reviews.csv"), rows)
    fit(
        "--task",
        "text",
        "--data.source",
        "reviews.csv",
        "--data.max_ngrams",
        1000,
        "--data.min_steps",
        1,
        "--trainer.max_epochs",
        3,
        "--quiet",
    )
    assert run(capsys, "runs/text/version_0/checkpoints/last.ckpt", "-o", "out")[0] == 0
    matrix = json.loads(Path("out/evaluation.json").read_text())["tables"]["confusion matrix"]
    assert [list(row) for row in matrix] == [["true \\ predicted", "false", "true"]] * 2
    assert [row["true \\ predicted"] for row in matrix] == ["false", "true"]
    assert sum(row["false"] + row["true"] for row in matrix) == 16


def test_other_images_with_splits(trained: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("images")
    for split, num in (("train", 4), ("test", 6)):
        make_images(Path("new") / split, per_class=num, first=100)
    code, out, _ = run(capsys, checkpoint, "--data.root", "new", "-o", "out")
    assert (code, scores("out/evaluation.json")["num_samples"]) == (0, 12)
    assert "test of new, 12 samples" in out
    assert predict([checkpoint, "new/test", "-o", "out.csv"]) == 0
    table = pd.read_csv("out.csv")
    assert scores("out/evaluation.json")["accuracy"] == (table["label"] == table["file"].str.split("/").str[2]).mean()


def test_other_series(trained: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("series")
    make_series(100, first=7).to_csv("new.csv", index=False)
    code, _, _ = run(capsys, checkpoint, "--data.path", "new.csv", "-o", "out")
    assert code == 0
    assert scores("out/evaluation.json")["num_samples"] == 100 - 48 - 24 + 1
    assert len(json.loads(Path("out/evaluation.json").read_text())["tables"]["by step"]) == 24


@pytest.mark.parametrize(
    ("args", "code", "problem"),
    [
        (["--data.source", "new.csv"], 1, "new.csv, line 3: the label 'other' was never seen.*has: neg, pos"),
        (["--data.source", "nope.csv"], 2, "no file or folder at 'nope.csv'"),
        (["--data.sorce", "a"], 2, "unknown key 'data.sorce'; the nearest: data.source"),
        (["--data.max_len", "3"], 2, "--data.max_len must be as in training: only"),
        (["--data.val_fraction", "0.5"], 2, "--data.val_fraction must be as in training: only"),
        (["--splt", "val"], 2, "unknown option --splt"),
        (["--split", "test"], 2, "'reviews.csv' has no test split, only val"),
        (["--gpus", "9"], 2, "--gpus 9 asks for a GPU"),
        (
            ["-o", "reviews.csv"],
            2,
            "--output as an existing folder, or a new one in an existing folder, received 'reviews.csv'",
        ),
    ],
)
def test_what_goes_wrong(
    args: list[str], code: int, problem: str, trained: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = trained("text")
    write_csv(Path("new.csv"), [("a good film", "pos"), ("a film", "other")])
    received, _, err = run(capsys, checkpoint, "-o", "out", *args)
    assert received == code
    assert re.search(problem, err), err
    assert not Path("out").exists()


def test_a_page_of_200_classes_stays_small() -> None:
    counts = np.eye(200, dtype=np.int64) * 9
    counts[3, 7] = 5
    names = [f"Tomato___Tomato_Yellow_Leaf_Curl_Virus {index}" for index in range(200)]
    matrix = pd.DataFrame(counts, columns=names)
    tables = {"most confused": find_confused_pairs(counts, names), "confusion matrix": matrix}
    wrong = pd.DataFrame({"file": [f"{index}.png" for index in range(500)]})
    plots = {"confusion matrix": lambda: plot_confusion_matrix(torch.from_numpy(counts), names)}
    evaluation = Evaluation(9, {"accuracy": 0.9}, "", (np.nan, np.nan), tables, plots, (), {}, wrong)
    warned = ["200 classes have fewer than 5 samples & more"]
    page = render_report(evaluation, title="t", subtitle="s", configuration={}, warnings=warned)
    assert len(page) < 250_000
    assert page.count("<tr>") == 1 + 1 + 1 + 1 + 20 + 1 + 1 + 1  # heads and rows: scores, most wrong, pairs twice
    assert f'{names[3]}</th><td dir="auto">{names[7]}</td><td class="number">5</td>' in page
    assert '<p class="warning" dir="auto">200 classes have fewer than 5 samples &amp; more</p>' in page
    assert page.count("data:image/png;base64,") == 1


def test_data_that_changed_since(trained: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("text")
    write_csv(Path("reviews.csv"), make_reviews(60))
    code, _, err = run(capsys, checkpoint)
    assert code == 1
    assert "'reviews.csv' is no longer what the model was trained on" in err
