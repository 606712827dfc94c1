"""The same numbers from evaluate.py, from the exported net, and over HTTP, on new data."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from conftest import make_images, make_reviews, make_series, write_csv
from fastapi.testclient import TestClient

from lightfit.datamodules import LabelCodec
from lightfit.scripts.evaluate import main as evaluate
from lightfit.scripts.evaluation.data import choose_split
from lightfit.scripts.export import main as export
from lightfit.scripts.inference.predictor import Predictor
from lightfit.scripts.inference.trained import Trained, load_trained
from lightfit.scripts.serving.app import make_app
from lightfit.scripts.serving.limits import Limits
from lightfit.scripts.serving.models import Models, ServedModel

OTHER = {"text": "--data.source=new.csv", "images": "--data.root=new", "series": "--data.path=new.csv"}


@pytest.fixture
def held(trained: Callable[[str], str]) -> Callable[[str], tuple[str, Trained]]:
    def prepare(task: str) -> tuple[str, Trained]:
        checkpoint = trained(task)
        if task == "text":
            write_csv(Path("new.csv"), [(f"{text} again", label) for text, label in make_reviews(30)])
        elif task == "images":
            make_images(Path("new"), per_class=9, first=500)
        else:
            make_series(120, first=11).to_csv("new.csv", index=False)
        return checkpoint, load_trained(checkpoint)

    return prepare


def score(task: str, predictions: np.ndarray, y: torch.Tensor) -> float:
    if task == "series":
        return float(np.abs(predictions[..., predictions.shape[-1] // 2] - y.numpy()).mean())
    return float((predictions.argmax(1) == y.numpy()).mean())


@pytest.mark.slow
@pytest.mark.parametrize(("task", "metric"), [("text", "accuracy"), ("images", "accuracy"), ("series", "mae")])
def test_evaluation_onnx_and_http_agree(task: str, metric: str, held: Callable[[str], tuple[str, Trained]]) -> None:
    checkpoint, known = held(task)
    assert evaluate([checkpoint, OTHER[task], "-o", "out", "--gpus", "0"]) == 0
    rows = json.loads(Path("out/evaluation.json").read_text())["metrics"]
    evaluated = next(row["value"] for row in rows if row["metric"] == metric)

    assert export([checkpoint, "--format", "onnx", "-o", "model.onnx"]) == 0
    batches = choose_split(known, [OTHER[task]], None).batches
    x, y = batches[torch.arange(len(batches))]
    (predictions,) = onnxruntime.InferenceSession("model.onnx").run(None, {"x": x.numpy()})
    assert score(task, predictions, y) == pytest.approx(evaluated, rel=1e-5)

    predictor = Predictor(known.model, known.codec, [torch.device("cpu")])
    limits = Limits(8, 0.001, max_bytes=10**7, max_inputs=1000)
    models = Models([ServedModel(task, known, predictor, limits)])
    with TestClient(make_app(models, limits)) as asked:
        if isinstance(known.codec, LabelCodec):
            over_http = labels_over_http(asked, task, known.codec.class_names)
            assert score(task, over_http, y) == pytest.approx(evaluated, abs=1e-6)
        else:
            # The server forecasts what follows a table: without the last day, the last window.
            rows_sent = json.loads(pd.read_csv("new.csv").head(96).to_json(orient="records"))
            (forecast,) = asked.post("/predict", json={"rows": rows_sent}).json()["predictions"]
            window = known.codec.unscale(torch.from_numpy(predictions[-1, ..., 1])).numpy()[:, 0]  # type: ignore[attr-defined]
            assert [row["load"] for row in forecast] == pytest.approx(window.tolist(), rel=1e-5)


def labels_over_http(asked: TestClient, task: str, names: list[str]) -> np.ndarray:
    if task == "text":
        said = asked.post("/predict?top=2", json={"texts": pd.read_csv("new.csv")["text"].tolist()}).json()
    else:
        files = [("file", (path.name, path.read_bytes())) for path in sorted(Path("new").rglob("*.png"))]
        said = asked.post("/predict?top=2", files=files).json()
    table = np.zeros((len(said["predictions"]), len(names)))
    for row, item in enumerate(said["predictions"]):
        table[row, names.index(item["label"])] = item["probability"]
        table[row, names.index(item["label_2"])] = item["probability_2"]
    return table
