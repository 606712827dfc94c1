"""The OpenAPI description of the server: what is sent and answered is as it says, and a client can be made from it."""

import base64
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fastapi.testclient import TestClient
from servers import LIMITS, build_app, run_server

Trained = Callable[[str], str]
DOMAINS = ("text", "images", "series")


@pytest.mark.parametrize("task", DOMAINS)
def test_the_description_has_the_names_of_the_model(task: str, trained: Trained) -> None:
    with TestClient(build_app(task, trained(task))) as asked:
        described = asked.get("/openapi.json").json()
        predict = described["paths"]["/predict"]["post"]
        content = predict["requestBody"]["content"]
        for example in [held["example"] for held in content.values() if "example" in held]:
            answer = asked.post("/predict", json=example)
            expected = 422 if task == "series" else 200  # two rows are fewer than the lookback
            assert answer.status_code == expected, answer.text
    files = {"image/*"} if task == "images" else {"text/csv", "text/tab-separated-values", "text/plain"}
    assert {"application/json", "multipart/form-data", "application/octet-stream", *files} <= set(content)
    answer = predict["responses"]["200"]["content"]["application/json"]
    one = answer["schema"]["properties"]["predictions"]["items"]["anyOf"][1]
    if task == "series":
        assert one["items"]["required"] == ["date", "load"]
        assert content["application/json"]["schema"]["properties"]["rows"]["items"]["required"][0] == "date"
    else:
        names = {"text": ["neg", "pos"], "images": ["bright", "dark"]}[task]
        assert one["properties"]["label"]["examples"] == names
        assert answer["example"]["predictions"][0]["label"] == names[0]
        (key,) = content["application/json"]["schema"]["properties"].values()
        assert key["maxItems"] == LIMITS.max_inputs
    if task == "text":
        assert key["items"]["maxLength"] == LIMITS.max_text_chars
        top = next(held for held in predict["parameters"] if held["name"] == "top")
        assert (top["schema"]["minimum"], top["schema"]["maximum"]) == (1, 2)
    assert {"400", "408", "413", "415", "422", "503", "504"} <= set(predict["responses"])
    errors = {
        json.dumps(held["content"]["application/json"]["schema"])
        for operations in described["paths"].values()
        for operation in operations.values()
        for status, held in operation["responses"].items()
        if status[0] in "45"
    }
    assert errors == {'{"$ref": "#/components/schemas/Error"}'}
    assert set(described["components"]["schemas"]) == {"Error"}


@pytest.mark.slow
@pytest.mark.parametrize("task", DOMAINS)
def test_schemathesis_finds_nothing(task: str, trained: Trained) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from schemathesis import engine

    checks: dict[str, Any] = {
        # 413 rejects too, and 408 and 503 are none of the request.
        "negative_data_rejection": {"expected-statuses": ["400", "404", "405", "413", "415", "422"]},
        # No schema says which bytes are an image or a table, or which rows are a series.
        "positive_data_acceptance": {"enabled": False},
    }
    config = schemathesis.Config.from_dict(
        {"generation": {"max-examples": 15}, "checks": checks, "seed": 0, "request-timeout": 30}
    )
    with run_server(build_app(task, trained(task))) as port:
        schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json", config=config)
        findings: list[str] = []
        num_cases = 0
        for event in engine.from_schema(schema).execute():
            if isinstance(event, engine.events.ScenarioFinished):
                recorder = event.recorder
                num_cases += len(recorder.interactions)
                for held in recorder.checks.values():
                    findings += [f"{check.name}: {check.failure_info.failure}" for check in held if check.failure_info]
            elif isinstance(event, engine.events.NonFatalError):
                findings.append(str(event.info.format()))
            elif isinstance(event, engine.events.FatalError):
                raise event.exception
    assert findings == []
    assert num_cases > 60


@pytest.mark.slow
@pytest.mark.parametrize("task", DOMAINS)
def test_a_generated_client_works(task: str, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openapi_python_client")
    with run_server(build_app(task, trained(task))) as port, ExitStack() as clients:
        address = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "openapi_python_client", "generate", "--url", f"{address}/openapi.json"]
        done = subprocess.run([*command, "--meta", "none", "--output-path", "made"], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        # It knows JSON and forms; of the other types it says so.
        assert set(re.findall(r"^(?!WARNING).*(?:rror|nable).*$", done.stdout, re.MULTILINE)) == set()
        monkeypatch.syspath_prepend(".")
        for name in [name for name in sys.modules if name.partition(".")[0] == "made"]:
            del sys.modules[name]  # of another domain
        client = clients.enter_context(importlib.import_module("made").Client(base_url=address))
        predict = importlib.import_module("made.api.default.predict")
        models = importlib.import_module("made.models")
        if task == "text":
            body = models.PredictJsonBody(texts=["a good film", " "])
            first, second = predict.sync(client=client, body=body, top=2).predictions
            assert (first.label, first.probability > 0.5, first.label_2) == ("pos", True, "neg")
            assert "text 2: the text is empty" in second.error
            error = predict.sync(client=client, body=models.PredictJsonBody(texts=[" "]))
            assert "the text is empty" in error.detail
        elif task == "images":
            image = base64.b64encode(Path("images/dark/00.png").read_bytes()).decode()
            (first,) = predict.sync(client=client, body=models.PredictJsonBody(images=[image])).predictions
            assert first.label == "dark"
        else:
            rows = pd.read_csv("series.csv").to_dict("records")
            body = models.PredictJsonBody.from_dict({"rows": rows})
            (forecast,) = predict.sync(client=client, body=body).predictions
            assert forecast[0].date == "2024-01-11T00:00:00"
            assert isinstance(forecast[0].load, float)
