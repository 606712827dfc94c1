"""The server: valid and invalid requests of every kind, batches, the page, and shutdown."""

import asyncio
import base64
import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import torch
from conftest import make_series
from fastapi.testclient import TestClient
from PIL import Image

from lightfit.scripts.cli.presets import TASKS
from lightfit.scripts.inference.pixel_limits import DEFAULT_LIMITS, PixelBudget, PixelLimits
from lightfit.scripts.inference.predictor import Predictor
from lightfit.scripts.inference.trained import load_trained
from lightfit.scripts.predict import main as predict
from lightfit.scripts.serve import main
from lightfit.scripts.serving.app import make_app
from lightfit.scripts.serving.batcher import Batcher
from lightfit.scripts.serving.limits import Limits
from lightfit.scripts.serving.models import Models, ServedModel

Trained = Callable[[str], str]
SCRIPT = str(TASKS.parent / "scripts" / "serve.py")
TEXTS = ["a good film", "a bad film", "dreadful"]


@pytest.fixture
def client(trained: Trained) -> Iterator[Callable[..., TestClient]]:
    opened: list[TestClient] = []

    def start(task: str, pixels: PixelLimits = DEFAULT_LIMITS) -> TestClient:
        held = load_trained(trained(task))
        predictor = Predictor(held.model, held.codec, [torch.device("cpu")])
        limits = Limits(8, 0.001, max_bytes=100_000, max_inputs=50, pixels=pixels)
        app = make_app(Models([ServedModel(task, held, predictor, limits)]), limits)
        opened.append(TestClient(app, raise_server_exceptions=False).__enter__())
        return opened[-1]

    yield start
    for item in opened:
        item.__exit__(None, None, None)


def test_texts_are_predicted_as_by_predict(client: Callable[[str], TestClient]) -> None:
    asked = client("text")
    answer = asked.post("/predict?top=2", json={"texts": TEXTS})
    assert answer.status_code == 200
    checkpoint = "runs/text/version_0/checkpoints/last.ckpt"
    assert predict([checkpoint, *TEXTS, "--top", "2", "-o", "out.csv"]) == 0
    table = pd.read_csv("out.csv")
    for row, said in zip(table.to_dict("records"), answer.json()["predictions"], strict=True):
        assert said["label"] == row["label"]
        assert said["label_2"] == row["label_2"]
        assert said["probability"] == pytest.approx(row["probability"], abs=1e-6)
    lines = asked.post("/predict", files={"file": ("a.txt", "good\n\nbad\n")}).json()["predictions"]
    assert ["error" in line for line in lines] == [False, True, False]
    rows = asked.post("/predict", content="text,n\ngood,1\n", headers={"content-type": "text/csv"})
    assert rows.json()["predictions"][0]["label"] == "pos"
    known, unknown = asked.post("/predict", json={"texts": ["good", "xyzzy"]}).json()["predictions"]
    assert "warning" not in known
    assert unknown["warning"].startswith("no word of this text is known")


def test_images_by_form_by_body_and_in_base64(client: Callable[[str], TestClient]) -> None:
    asked = client("images")
    paths = ["images/bright/00.png", "images/dark/03.png"]
    contents = [Path(path).read_bytes() for path in paths]
    forms = asked.post("/predict", files=[("file", (path, data)) for path, data in zip(paths, contents, strict=True)])
    coded = asked.post("/predict", json={"images": [base64.b64encode(data).decode() for data in contents]})
    single = asked.post("/predict", content=contents[1], headers={"content-type": "image/png"})
    assert forms.status_code == coded.status_code == single.status_code == 200
    assert forms.json() == coded.json()
    assert single.json()["predictions"][0] == pytest.approx(forms.json()["predictions"][1])
    assert predict(["runs/images/version_0/checkpoints/last.ckpt", *paths, "-o", "out.csv"]) == 0
    assert [said["label"] for said in forms.json()["predictions"]] == pd.read_csv("out.csv")["label"].tolist()


def as_png(width: int, height: int, mode: str = "1") -> bytes:
    data = io.BytesIO()
    Image.new(mode, (width, height)).save(data, "PNG")
    return data.getvalue()


def test_images_are_limited_in_pixels(client: Callable[..., TestClient]) -> None:
    asked = client("images", PixelLimits(max_pixels=40_000, max_request_pixels=100_000, max_decoding_pixels=50_000))

    def ask(*contents: bytes) -> httpx.Response:
        return asked.post("/predict", files=[("file", (f"{number}.png", data)) for number, data in enumerate(contents)])

    good, large, narrow = as_png(200, 150), as_png(201, 200), as_png(3000, 1)
    answer = ask(good, large, narrow)
    assert answer.status_code == 200, answer.text
    first, *others = answer.json()["predictions"]
    assert first["label"] == "dark"
    assert "1.png: 201 x 200 pixels, more than the limit of 40,000" in others[0]["error"]
    assert "2.png: an image of 3,000 x 1 pixels would be resized to" in others[1]["error"]
    assert "more than the limit of 40,000: it is too narrow" in others[1]["error"]
    assert ask(good, good, good).status_code == 200, "the pixels are counted anew in each request"
    in_json = {"images": [base64.b64encode(good).decode()] * 4}
    for answer in (ask(good, good, good, good), asked.post("/predict", json=in_json)):
        assert answer.status_code == 413
        assert answer.json()["detail"].startswith("the images of the request have more than 100,000 pixels: send fewer")


def test_images_are_reduced_as_they_are_decoded(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightfit.scripts.inference.inputs.images import ImageInputs

    codec: Any = load_trained(trained("images")).codec
    inputs = ImageInputs(codec, PixelLimits(max_decoding_pixels=60_000))
    height, width = codec.image_size
    lock, decoding, most = threading.Lock(), [0], [0]
    prepare = type(codec).prepare

    def counted(*args: Any) -> Any:
        with lock:
            decoding[0] += 1
            most[0] = max(most[0], decoding[0])
        time.sleep(0.01)
        result = prepare(*args)
        with lock:
            decoding[0] -= 1
        return result

    monkeypatch.setattr(type(codec), "prepare", counted)
    found: list[Any] = []

    def ask() -> None:
        found.extend(inputs.for_request().from_upload("a.png", as_png(200, 150)))

    requests = [threading.Thread(target=ask) for _ in range(8)]
    for request in requests:
        request.start()
    for request in requests:
        request.join()
    assert most[0] == 2, "two images of 30,000 pixels at a time"
    assert inputs.budget.used == 0
    assert {tuple(sample.pixels.shape) for sample in found} == {(3, height, width)}
    assert codec.encode(found).shape == (8, 3, height, width)


def test_an_image_above_the_budget_is_decoded_alone() -> None:
    budget = PixelBudget(10)
    with budget.hold(1000):
        assert budget.used == 10
    with pytest.raises(ValueError, match="bad"), budget.hold(3):
        raise ValueError("bad")
    assert budget.used == 0


def test_series_by_rows_and_by_csv(client: Callable[[str], TestClient]) -> None:
    asked = client("series")
    by_file = asked.post("/predict", files={"file": ("series.csv", Path("series.csv").read_bytes())})
    rows = json.loads(make_series().to_json(orient="records", date_format="iso"))
    by_rows = asked.post("/predict", json={"rows": rows})
    assert by_file.status_code == by_rows.status_code == 200, by_rows.text
    (forecast,) = by_file.json()["predictions"]
    assert predict(["runs/series/version_0/checkpoints/last.ckpt", "series.csv", "-o", "out.csv"]) == 0
    table = pd.read_csv("out.csv")
    assert [row["load"] for row in forecast] == pytest.approx(table["load"].tolist(), rel=1e-5)
    assert [row["load"] for row in by_rows.json()["predictions"][0]] == pytest.approx(table["load"].tolist(), rel=1e-4)
    assert forecast[0]["date"] == "2024-01-11T00:00:00"


JSON = {"content-type": "application/json"}
BAD_REQUESTS: dict[str, list[tuple[dict[str, Any], int, str]]] = {
    "text": [
        ({"json": {"text": "a"}}, 422, 'expected {"texts"'),
        ({"json": {"texts": []}}, 422, "at least one text"),
        ({"json": {"texts": ["a", 3]}}, 422, "a list of at least one text"),
        ({"json": {"texts": [" "]}}, 422, "text 1: the text is empty"),
        ({"json": ["a"]}, 422, "expected a JSON object, received list"),
        ({"content": b'{"texts"', "headers": JSON}, 400, "the body is not JSON"),
        ({"content": b"\xff\xfe", "headers": JSON}, 400, "the body is not JSON"),
        ({"content": b"[" * 90_000, "headers": JSON}, 400, "the body is not JSON"),
        ({"content": b"", "headers": JSON}, 400, "the body is not JSON"),
        (
            {"content": b"a=1", "headers": {"content-type": "application/x-www-form-urlencoded"}},
            415,
            "expected content-type",
        ),
        ({"content": b"x"}, 415, ", received ''"),
        ({"files": {"file": ("a.png", b"x")}}, 422, ", received 'a.png'"),
        ({"files": {"file": ("a.csv", b"")}}, 422, "'a.csv' is empty"),
        ({"files": {"file": ("a.csv", b"other\nx\n")}}, 422, "no column 'text'"),
        ({"files": {"file": ("a.txt", b"caf\xe9\n")}}, 422, "not UTF-8"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 4, ""),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 4, ""),
        ({"content": b"x" * 100_001, "headers": JSON}, 413, "exceeds the limit of 100,000 bytes"),
        ({"json": {"texts": ["a"] * 51}}, 413, "expected at most 50 inputs in a request, received 51"),
        ({"json": {"texts": ["a"]}, "params": {"top": 3}}, 422, "top from 1 to 2, received 3"),
        ({"json": {"texts": ["a"]}, "params": {"top": "x"}}, 422, "query.top"),
    ],
    "images": [
        ({"json": {"images": ["no base64!"]}}, 422, "image 1: not base64"),
        ({"json": {"images": "a"}}, 422, "a list of at least one image file"),
        ({"files": {"file": ("a.png", b"no image")}}, 422, "a.png: not an image, or cut off"),
        ({"content": b"", "headers": {"content-type": "image/png"}}, 422, "the file is empty"),
    ],
    "series": [
        ({"json": {"rows": [{"a": 1}]}}, 422, "has no column 'date'"),
        ({"json": {"rows": [1]}}, 422, 'expected {"rows"'),
        ({"json": {"rows": [{"date": "2024-01-01", "load": {}}]}}, 422, ""),
        ({"json": {"rows": [{"date": [], "load": 1}]}}, 422, ""),
        ({"json": {"rows": [{"date": "2024-01-01", "load": 1}]}}, 422, "expected at least 48 rows"),
        ({"files": {"file": ("a.csv", b"\xff")}}, 422, "not UTF-8"),
        ({"files": {"file": ("a.csv", b"")}}, 422, "cannot be read as a table"),
    ],
}


@pytest.mark.parametrize("task", BAD_REQUESTS)
def test_bad_requests_return_a_message_and_never_a_500(task: str, client: Callable[[str], TestClient]) -> None:
    asked = client(task)
    for request, status, problem in BAD_REQUESTS[task]:
        answer = asked.post("/predict", **request)
        assert answer.status_code == status or answer.status_code // 100 == status, (request, answer.text)
        assert problem in answer.json()["detail"], answer.text
        assert isinstance(answer.json()["detail"], str)
    assert asked.get("/health").json() == {"status": "ok"}


def test_info_and_documentation(client: Callable[[str], TestClient]) -> None:
    asked = client("text")
    info = asked.get("/info").json()
    assert (info["task"], info["domain"], info["classes"]) == ("text", "text", ["neg", "pos"])
    assert info["version"] == info["trained_by"]
    schema = asked.get("/openapi.json").json()
    body = schema["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert body["application/json"]["schema"]["required"] == ["texts"]
    docs = asked.get("/docs").text
    for path in re.findall(r'(?:src|href)="([^"]+)"', docs):
        assert path.startswith("/"), "the page must work without a network"
        assert asked.get(path).status_code == 200


def test_requests_at_the_same_time_share_batches() -> None:
    sizes: list[int] = []

    def slow(items: list[int]) -> list[int]:
        sizes.append(len(items))
        time.sleep(0.02)
        return [2 * item for item in items]

    async def run() -> list[list[int]]:
        batcher = Batcher(slow, max_batch_size=8, wait_s=0.005, num_workers=1)
        await batcher.start()
        results = await asyncio.gather(*(batcher([index, index + 100]) for index in range(20)))
        await batcher.stop()
        return list(results)

    assert asyncio.run(run()) == [[2 * index, 2 * index + 200] for index in range(20)]
    assert sum(sizes) == 40
    assert max(sizes) == 8
    assert len(sizes) <= 6


def test_an_input_that_fails_fails_alone() -> None:
    def picky(items: list[int]) -> list[int]:
        if 3 in items:
            raise ValueError("three")
        return items

    async def run() -> list[Any]:
        batcher = Batcher(picky, max_batch_size=8, wait_s=0.01, num_workers=1)
        await batcher.start()
        results = await asyncio.gather(*(batcher([index]) for index in range(5)), return_exceptions=True)
        await batcher.stop()
        return list(results)

    results = asyncio.run(run())
    assert [result for result in results if not isinstance(result, Exception)] == [[0], [1], [2], [4]]
    assert str(results[3]) == "three"


@pytest.fixture
def server(trained: Trained) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], str]]]:
    running: list[subprocess.Popen[str]] = []

    def start(task: str, *args: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, SCRIPT, trained(task), "--port", "0", *args]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        address = re.search(r"http://\S+?(?=,)", line)
        assert address, line + (process.stderr.read() if process.stderr else "")
        return process, address[0]

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(("signal_number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_stop_finishes_what_is_in_flight(
    signal_number: signal.Signals, code: int, server: Callable[..., tuple[subprocess.Popen[str], str]]
) -> None:
    process, address = server("text", "--wait_ms", "5000")  # so that a batch waits for a request that is being read
    host, port = address.removeprefix("http://").split(":")
    body = json.dumps({"texts": TEXTS}).encode()
    lines = (
        "POST /predict HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    head = "\r\n".join((*lines, "", ""))
    answers: list[httpx.Response] = []
    with socket.create_connection((host, int(port))) as slow, httpx.Client(timeout=30) as browser:
        slow.sendall(head.encode() + body[:5])
        asking = threading.Thread(
            target=lambda: answers.append(browser.post(f"{address}/predict", json={"texts": TEXTS}))
        )
        asking.start()
        time.sleep(1)
        process.send_signal(signal_number)
        time.sleep(0.5)
        assert answers == []
        slow.sendall(body[5:])
        asking.join()
        assert slow.recv(1000).startswith(b"HTTP/1.1 200 OK")
    assert [answer.status_code for answer in answers] == [200]
    assert len(answers[0].json()["predictions"]) == 3
    assert process.wait(timeout=20) == code
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/health")


def test_what_goes_wrong(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("text")
    capsys.readouterr()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for args, problem in (
            (
                ["--port", port],
                f"cannot listen on 127.0.0.1:{port} .Address already in use.: choose another",
            ),
            (["--port", "99999"], "cannot listen on 127.0.0.1:99999"),
            (["--host", "192.0.2.1", "--port", "0"], "cannot listen on 192.0.2.1"),
            (["--max_batch_size", "0"], "--max_batch_size of at least 1"),
            (["--max_request_pixels", "0"], "--max_request_pixels of at least 1"),
        ):
            assert main([checkpoint, *args]) == 2
            assert re.search(problem, capsys.readouterr().err)


def test_body_of_a_form_with_two_images_counts_both(client: Callable[[str], TestClient]) -> None:
    large = io.BytesIO(b"\x89PNG" + bytes(60_000))
    answer = client("images").post("/predict", files=[("a", ("a.png", large)), ("b", ("b.png", large.getvalue()))])
    assert answer.status_code == 413
