"""Sets of labels and numbers, of texts and images, in all commands: the data decide which model is trained."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from fastapi.testclient import TestClient
from labelled_data import make_pictures, make_texts

from lightfit.checkpoint import read_checkpoint
from lightfit.scripts.cli.presets import TASKS
from lightfit.scripts.evaluate import main as evaluate
from lightfit.scripts.export import main as export
from lightfit.scripts.inference.predictor import Predictor
from lightfit.scripts.inference.trained import load_trained
from lightfit.scripts.predict import main as predict
from lightfit.scripts.serving.app import make_app
from lightfit.scripts.serving.limits import Limits
from lightfit.scripts.serving.models import Models, ServedModel

Fit = Callable[..., tuple[int, str, str]]
TRUST = ("--trust", "labelled_data")
OLD_NET = ("--model.net", "lightfit.nets.NaiveBayesBag", "--model.net.num_buckets", 500)
TEXT = ("--task", "text", "--data", "labelled_data.TextTable", "--data.source", "t.csv", *OLD_NET)
IMAGES = (
    *("--task", "images", "--data", "labelled_data.ImageTable", "--data.source", "p/table.csv"),
    *("--model.net.widths", "[8]", "--trainer.max_epochs", 4, "--model.optimizer", "Adam", "--model.lr", 0.02),
)
LAST = "runs/{}/version_0/checkpoints/last.ckpt"


@pytest.fixture
def data(workplace: Path) -> Path:
    make_texts(workplace / "t.csv")
    make_pictures(workplace / "p")
    return workplace


@pytest.mark.usefixtures("data")
def test_the_data_decide_and_a_run_resumes(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = fit(*TEXT, "--trainer.max_epochs", 2)
    assert code == 0, err
    assert "the labels are sets: training lightfit.MultiLabelClassifier" in out
    config = yaml.safe_load(Path("runs/text/version_0/config.yaml").read_text())
    assert config["model"]["class_path"] == "lightfit.MultiLabelClassifier"
    assert config["model"]["init_args"]["lr"] == 0.05
    checkpoint = read_checkpoint(LAST.format("text"))
    hparams = checkpoint["hyper_parameters"]
    assert (hparams["_class_path"], hparams["num_outputs"]) == ("lightfit.MultiLabelClassifier", 3)
    assert checkpoint["state_dict"]["thresholds"].shape == (3,)
    for task in ("text", "runs/text/version_0/config.yaml"):
        own = ["--task", task, *TEXT[2:]] if task == "text" else ["--task", task]
        epochs = len(pd.read_csv("runs/text/version_0/history.csv")) + 1
        code, out, err = fit(*own, "--trainer.max_epochs", epochs, "--resume", "runs/text/version_0")
        assert code == 0, err
        assert len(pd.read_csv("runs/text/version_0/history.csv")) == epochs
    code, _, err = fit("--task", "runs/text/version_0/config.yaml", "--data.columns", "stars")
    assert code == 2
    assert "MultiLabelClassifier is for labels that are sets, and those of the data are numbers: expected" in err


@pytest.mark.slow
@pytest.mark.usefixtures("data")
def test_a_class_that_the_user_names_must_fit(fit: Fit) -> None:
    named = ("--model", "lightfit.TextClassifier", "--model.net", "lightfit.nets.NaiveBayesBag")
    code, _, err = fit(*TEXT[:-2], *named, "--data.columns", "price")
    assert code == 2
    assert (
        "TextClassifier is for labels that are classes, and those of the data are numbers: expected --model "
        "lightfit.Regressor, or other data" in err
    )
    named = ("--model", "lightfit.Regressor", "--model.loss", "huber", "--model.net", "lightfit.nets.NaiveBayesBag")
    code, out, err = fit(*TEXT[:-2], *named, "--data.columns", "price", "--trainer.max_epochs", 1)
    assert code == 0, err
    assert "training lightfit" not in out
    assert read_checkpoint(LAST.format("text"))["hyper_parameters"]["loss"] == "huber"
    code, _, err = fit(*TEXT, "--model.num_outputs", 3)
    assert code == 2
    assert "model.num_outputs comes from the data: leave it out" in err


@pytest.mark.usefixtures("data")
def test_the_data_is_read_once(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    import labelled_data

    reads: list[str] = []
    read = labelled_data.Table.read
    monkeypatch.setattr(labelled_data.Table, "read", lambda self, source: reads.append(source) or read(self, source))  # type: ignore[func-returns-value]
    assert fit(*TEXT, "--trainer.max_epochs", 1, "--quiet")[0] == 0
    assert reads == ["t.csv"]


@pytest.mark.slow
@pytest.mark.usefixtures("reviews")
def test_a_calibrated_classifier_is_evaluated_exported_and_served_alike(
    fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ("--data.max_ngrams", 500, "--data.val_fraction", 0.5, "--data.min_steps", 1, "--trainer.max_epochs", 3)
    code, _, err = fit("--task", "text", "--data.source", "reviews.csv", *sizes, "--model.calibrate", "true", "--quiet")
    assert code == 0, err
    path = LAST.format("text")
    temperature = float(read_checkpoint(path)["state_dict"]["temperature"])
    assert temperature < 0.9, "three epochs are timid"
    assert evaluate([path, "--gpus", "0"]) == 0
    scores = {r["metric"]: r["value"] for r in json.loads(evaluation("text").read_text())["metrics"]}
    assert scores["accuracy"] == 1
    assert scores["log_loss"] < scores["loss"]
    for kind in ("onnx", "pt2", "safetensors"):
        assert export([path, "--format", kind]) == 0
    assert predict([path, "a good film", "-o", "out.csv"]) == 0
    trained = load_trained(path)
    x = trained.codec.encode(["a good film"])
    expected = (trained.model(x) / temperature).sigmoid().item()
    assert pd.read_csv("out.csv")["probability"][0] == pytest.approx(max(expected, 1 - expected), abs=1e-5)


def evaluation(task: str) -> Path:
    return Path(f"runs/{task}/version_0/evaluation/evaluation.json")


def example(task: str, inputs: list[str]) -> list[str]:
    program = TASKS.parent / "scripts" / "examples" / f"onnx_{task}.py"
    run = subprocess.run(
        [sys.executable, str(program), "model.onnx", *inputs], capture_output=True, text=True, check=True
    )
    return run.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("columns", ["labels", "price,stars"])
@pytest.mark.parametrize("task", ["text", "images"])
def test_all_commands_agree(task: str, columns: str, fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    key, own = ("texts", TEXT) if task == "text" else ("images", IMAGES)
    code, _, err = fit(*own, "--data.columns", columns)
    assert code == 0, err
    path, folder = LAST.format(task), Path(f"runs/{task}/version_0")
    assert evaluate([path, *TRUST, "--gpus", "0"]) == 0
    printed = capsys.readouterr().out
    scores = {row["metric"]: row["value"] for row in json.loads(evaluation(task).read_text())["metrics"]}
    card, page = (folder / "card.md").read_text(), (folder / "evaluation" / "report.html").read_text()
    headline = "f1_micro" if columns == "labels" else "mae"
    assert re.search(rf"{headline} \d+\.\d+ \(95 % interval", printed)
    assert re.search(rf"\| val \| \d+ \| {headline} \| \d+\.\d+ \(95 % interval", card)
    wrong = pd.read_csv(folder / "evaluation" / "most_wrong.csv")
    thumbnails = min(len(wrong), 20) if task == "images" else 0
    assert page.count("data:image/png;base64,") == 1 + thumbnails
    needed = {"f1_micro", "f1_macro", "mAP", "subset_accuracy"}
    assert set(scores) >= (needed if columns == "labels" else {"mae", "rmse", "r2", "coverage", "width"})

    table = pd.read_csv("t.csv" if task == "text" else "p/table.csv", keep_default_na=False)[:12]
    inputs = table["text"].tolist() if task == "text" else [f"p/{name}" for name in table["path"]]
    assert predict([path, *inputs, "-o", "out.csv", *TRUST, "--gpus", "0"]) == 0
    rows = pd.read_csv("out.csv", keep_default_na=False)
    assert export([path, "--format", "onnx", "-o", "model.onnx", *TRUST]) == 0
    lines = example(task, inputs)

    trained = load_trained(path, ["labelled_data"])
    predictor = Predictor(trained.model, trained.codec, [torch.device("cpu")])
    limits = Limits(8, 0.001, max_bytes=10**7, max_inputs=100)
    models = Models([ServedModel(task, trained, predictor, limits)])
    with TestClient(make_app(models, limits)) as asked:
        sent = inputs if task == "text" else [base64.b64encode(Path(name).read_bytes()).decode() for name in inputs]
        answers = asked.post("/predict", json={key: sent}).json()["predictions"]
        target = asked.get("/info").json()["target"]
        assert asked.get("/").status_code == 200
    if columns == "labels":
        assert target == {"kind": "multi_label", "names": trained.codec.class_names}  # type: ignore[attr-defined]
        assert [answer["labels"] for answer in answers] == rows["labels"].tolist()
        assert lines == [f"{labels} {name}" for labels, name in zip(rows["labels"], inputs, strict=True)]
        assert [answer["probability"] for answer in answers] == pytest.approx(rows["probability"].tolist(), abs=2e-6)
    else:
        assert target["kind"] == "numbers"
        by_program = np.array([[float(n) for n in re.findall(r" (\d+\.?\d*)", line.split(")")[0])] for line in lines])
        by_program = by_program[:, 0].reshape(-1, 2)
        for column, name in enumerate(("price", "stars")):
            assert [answer[name] for answer in answers] == pytest.approx(rows[name].tolist(), rel=1e-5)
            assert by_program[:, column].tolist() == pytest.approx(rows[name].tolist(), rel=1e-5)
            low, high = rows[f"{name}_low"].astype(float), rows[f"{name}_high"].astype(float)
            assert (low < rows[name]).all()
            assert (rows[name] < high).all()
            assert [answer[f"{name}_low"] for answer in answers] == pytest.approx(low.tolist(), rel=1e-5)
    check_scores(path, task, columns, scores)


def check_scores(path: str, task: str, columns: str, scores: dict[str, Any]) -> None:
    """Compare the evaluation of the val split with one of the table of predictions."""
    trained = load_trained(path, ["labelled_data"])
    from lightfit.scripts.evaluation.data import choose_split

    chosen = choose_split(trained, [], "val")
    rows = [int(place.removeprefix("row ")) for place in chosen.data.find_places("val")]
    table = pd.read_csv("t.csv" if task == "text" else "p/table.csv", keep_default_na=False).iloc[rows]
    inputs = table["text"].tolist() if task == "text" else [f"p/{name}" for name in table["path"]]
    assert predict([path, *inputs, "-o", "val.csv", *TRUST, "--gpus", "0"]) == 0
    predicted = pd.read_csv("val.csv", keep_default_na=False)
    if columns == "labels":
        assert (predicted["labels"].to_numpy() == table["labels"].to_numpy()).mean() == pytest.approx(
            scores["subset_accuracy"], abs=1e-5
        )
        return
    errors = [np.abs(predicted[name].to_numpy() - table[name].to_numpy()).mean() for name in ("price", "stars")]
    assert scores["mae"] == pytest.approx(np.mean(errors), rel=1e-4)
    inside = [
        (predicted[f"{name}_low"].astype(float).to_numpy() <= table[name].to_numpy())
        & (table[name].to_numpy() <= predicted[f"{name}_high"].astype(float).to_numpy())
        for name in ("price", "stars")
    ]
    # The table is rounded, and an error of the val split lies at the end of the interval.
    assert scores["coverage"] == pytest.approx(np.mean(inside), abs=1.01 / len(rows))


@pytest.mark.slow
@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("columns", ["labels", "stars"])
def test_folds_have_predictions_of_every_sample(columns: str, fit: Fit) -> None:
    code, _, err = fit(*TEXT, "--data.columns", columns, "--folds", 2, "--trainer.max_epochs", 1, "--quiet")
    assert code == 0, err
    table = pd.read_csv("runs/text/folds_0/out_of_fold.csv", keep_default_na=False)
    assert len(table) == 120
    names = ["probability_art", "probability_money", "probability_sport"]
    expected = ["labels", "predicted", *names] if columns == "labels" else ["stars", "predicted_stars"]
    assert [name for name in table.columns if name in expected] == expected
    assert not table[expected[-1]].astype(str).eq("").any()


@pytest.mark.slow
@pytest.mark.usefixtures("data")
def test_pictures_of_classes_step_aside(fit: Fit) -> None:
    code, _, err = fit(*IMAGES, "--data.columns", "stars", "--trainer.max_epochs", 1)
    assert (code, err) == (0, "")
    made = {path.name for path in Path("runs/images/version_0").iterdir() if path.is_dir()}
    assert {"preview_train", "preview_val", "feature_maps"} <= made
    assert not made & {"confusion_matrix", "most_confused", "grad_cam"}
