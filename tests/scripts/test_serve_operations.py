"""The server as operators see it: batches, several models, tokens, ids, logs, metrics, new checkpoints, workers."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient

from lightfit.errors import UsageError
from lightfit.scripts.cli.presets import TASKS
from lightfit.scripts.inference.trained import load_served, load_trained
from lightfit.scripts.serve import check_root_path, main
from lightfit.scripts.serving.app import make_app
from lightfit.scripts.serving.batcher import Batcher
from lightfit.scripts.serving.gate import Gate
from lightfit.scripts.serving.limits import Limits
from lightfit.scripts.serving.metrics import Metrics
from lightfit.scripts.serving.models import Models
from lightfit.scripts.serving.operations import Operations, RequestLog
from lightfit.scripts.serving.reloading import Loader, keep_reloading
from lightfit.scripts.serving.sources import Source, find_checkpoint, parse_sources
from lightfit.scripts.serving.tokens import read_token

Trained = Callable[[str], str]
LIMITS = Limits(8, 0.001, max_bytes=100_000, max_inputs=50)
TOKEN = "a-token-of-24-characters"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
TEXTS = {"texts": ["a good film", "a bad film"]}


def make_loader(metrics: Metrics, **changes: Any) -> Loader:
    return Loader(trust=[], gpus="0", limits=LIMITS, metrics=metrics, **changes)


def run_batcher(requests: Callable[[Batcher], Any], **changes: Any) -> tuple[Any, list[list[int]]]:
    """Run a batcher that doubles numbers, and return what `requests` returns, and its batches."""
    batches: list[list[int]] = []

    def double(items: list[int]) -> list[int]:
        batches.append(items)
        return [2 * item for item in items]

    async def run() -> Any:
        batcher = Batcher(double, **{"max_batch_size": 4, "wait_s": 5.0, "num_workers": 1, **changes})
        await batcher.start()
        result = await asyncio.wait_for(requests(batcher), 4)
        await batcher.stop()
        return result

    return asyncio.run(run()), batches


def test_a_single_request_waits_for_nobody() -> None:
    async def alone(batcher: Batcher) -> list[int]:
        with batcher.request():
            return await batcher([1, 2])

    assert run_batcher(alone) == ([2, 4], [[1, 2]])


def test_a_batch_waits_for_requests_that_are_being_read() -> None:
    async def ask(batcher: Batcher, item: int, reading_s: float) -> list[int]:
        with batcher.request():
            await asyncio.sleep(reading_s)
            return await batcher([item])

    async def both(batcher: Batcher) -> list[Any]:
        return list(await asyncio.gather(ask(batcher, 1, 0), ask(batcher, 2, 0.1)))

    assert run_batcher(both) == ([[2], [4]], [[1, 2]])
    assert run_batcher(both, wait_s=0.0) == ([[2], [4]], [[1], [2]])


def test_a_request_of_many_inputs_fills_several_batches() -> None:
    async def many(batcher: Batcher) -> list[int]:
        return await batcher(range(10))

    results, batches = run_batcher(many)
    assert results == [2 * item for item in range(10)]
    assert [len(batch) for batch in batches] == [4, 4, 2]


def test_inputs_of_a_client_that_left_are_not_predicted() -> None:
    async def leave(batcher: Batcher) -> list[int]:
        with batcher.request(), batcher.request():  # the second one is being read, so the batch waits
            left = asyncio.create_task(batcher([1]))
            await asyncio.sleep(0.05)
            left.cancel()
            return await batcher([2, 3, 4, 5])

    assert run_batcher(leave) == ([4, 6, 8, 10], [[2, 3, 4, 5]])


@pytest.fixture
def server(trained: Trained) -> Iterator[Callable[..., TestClient]]:
    """Return a function that builds a server of models of two tasks, within this process."""
    opened: list[TestClient] = []

    def start(**operations: Any) -> TestClient:
        metrics = Metrics()
        models = make_loader(metrics).load_all(parse_sources([trained("text"), f"pictures={trained('images')}"]))
        app = Operations(make_app(models, LIMITS), metrics=metrics, **operations)
        opened.append(TestClient(app, follow_redirects=False).__enter__())
        return opened[-1]

    yield start
    for item in opened:
        item.__exit__(None, None, None)


def test_several_models_metrics_ids_and_the_log(server: Callable[..., TestClient]) -> None:
    log = RequestLog("requests.jsonl")
    asked = server(log=log)
    listed = asked.get("/models").json()["models"]
    assert [(one["name"], one["domain"], one["default"]) for one in listed] == [
        ("text", "text", True),
        ("pictures", "images", False),
    ]
    first = asked.post("/predict", json=TEXTS, headers={"X-Request-ID": "mine-1"})
    named = asked.post("/models/text/predict", json=TEXTS, headers={"X-Request-ID": "not sane\x7f"})
    assert first.json() == named.json()
    assert first.headers["X-Request-ID"] == "mine-1"
    assert re.fullmatch("[0-9a-f]{32}", named.headers["X-Request-ID"])
    assert first.headers["X-Model-Version"] == listed[0]["version"] == asked.get("/info").json()["model_version"]
    content = Path("images/dark/00.png").read_bytes()
    pictures = asked.post("/models/pictures/predict", files={"file": ("a.png", content)})
    assert pictures.json()["predictions"][0]["label"] in ("bright", "dark")
    assert pictures.headers["X-Model-Version"] == listed[1]["version"]
    missing = asked.post("/models/other/predict", json=TEXTS)
    assert (missing.status_code, missing.json()["detail"]) == (
        404,
        "no model 'other' here: there are text, pictures; see /models",
    )
    assert {"/models/pictures/predict", "/ready"} <= set(asked.get("/openapi.json").json()["paths"])

    for word in ("unknown", "words"):
        asked.get(f"/{word}")
    told = asked.get("/metrics").text
    assert 'lightfit_requests_total{method="POST",path="/predict",status="200"} 1.0' in told
    assert 'lightfit_requests_total{method="GET",path="other",status="404"} 2.0' in told
    assert 'lightfit_batch_size_sum{model="text"} 4.0' in told
    assert 'lightfit_request_seconds_count{path="/predict"} 1.0' in told
    assert re.search(rf'lightfit_model_info{{.*version="{listed[0]["version"]}"}} 1.0', told)

    log.close()
    entries = [json.loads(line) for line in Path("requests.jsonl").read_text().splitlines()]
    (entry,) = [entry for entry in entries if entry["request_id"] == "mine-1"]
    assert (entry["method"], entry["path"], entry["status"], entry["model"]) == ("POST", "/predict", 200, "text")
    assert entry["bytes_received"] == int(first.request.headers["content-length"])
    assert entry["bytes_sent"] == len(first.content)


def test_a_token_opens_all_but_the_probes(server: Callable[..., TestClient]) -> None:
    asked = server(token=TOKEN, root_path="/lf")
    for path in ("/health", "/ready", "/"):
        assert asked.get(path).status_code == 200
    for headers in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}, {"token": TOKEN}):
        for path in ("/info", "/models", "/metrics", "/docs", "/openapi.json", "/lf/info", "/nothing"):
            refused = asked.get(path, headers=headers)
            assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert refused.json()["detail"].startswith("expected the server's token in the header Authorization")
        assert asked.post("/predict", json=TEXTS, headers=headers).status_code == 401
    assert asked.post("/predict", json=TEXTS, headers=BEARER).status_code == 200

    # A proxy may remove the path or not.
    for root in ("", "/lf"):
        assert asked.post(f"{root}/predict", json=TEXTS, headers=BEARER).status_code == 200
        docs = asked.get(f"{root}/docs", headers=BEARER).text
        assert "'/lf/openapi.json'" in docs
        for path in re.findall(r'(?:src|href)="([^"]+)"', docs):
            assert asked.get(path, headers=BEARER).status_code == 200
        assert asked.get(f"{root}/openapi.json", headers=BEARER).json()["servers"] == [{"url": "/lf"}]
        assert asked.get(f"{root}/").status_code == 200
    assert asked.get("/lf").headers["Location"] == "/lf/", "so that the addresses in the page are below it"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("short", "is no token: expected at least 16 visible ASCII characters without spaces, received 5 characters"),
        ("", "received 0 characters"),
        ("a token with several words", "without spaces"),
        ("é" * 20, "ASCII"),
    ],
)
def test_bad_tokens(content: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("token").write_text(f"{content}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=problem):
        read_token("token")
    monkeypatch.setenv("LIGHTFIT_TOKEN", content)
    with pytest.raises(UsageError, match=f"the environment's LIGHTFIT_TOKEN .*{problem}|{problem}"):
        read_token(None)


def test_where_tokens_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTFIT_TOKEN", raising=False)
    assert read_token(None) == ""
    with pytest.raises(UsageError, match="--token_file 'none' cannot be read .No such file"):
        read_token("none")
    monkeypatch.setenv("LIGHTFIT_TOKEN", TOKEN[::-1])
    Path("token").write_text(f"{TOKEN}\n", encoding="utf-8")
    assert (read_token(None), read_token("token")) == (TOKEN[::-1], TOKEN)


def test_names_of_checkpoints() -> None:
    folder = Path("runs/imdb/version_0/checkpoints")
    folder.mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no checkpoint in '.*expected best-.* or last.ckpt"):
        parse_sources(["runs/imdb/version_0"])
    (folder / "last.ckpt").touch()
    assert find_checkpoint(folder.parent) == folder / "last.ckpt"
    old, new = folder / "best-epoch=01-val_loss=0.5.ckpt", folder / "best-epoch=03-val_loss=0.4.ckpt"
    for age, path in enumerate((new, old)):
        path.touch()
        os.utime(path, (0, 1000 - age))
    assert find_checkpoint(folder.parent) == find_checkpoint(old, newest=True) == new
    assert find_checkpoint(old) == old
    assert parse_sources(
        ["runs/imdb/version_0", "b=x.ckpt", str(old).replace("runs", "./runs").replace("imdb", "imdb")][:2]
    ) == [
        Source("imdb", Path("runs/imdb/version_0")),
        Source("b", Path("x.ckpt")),
    ]
    Path("my model=2.ckpt").touch()
    assert parse_sources(["my model=2.ckpt"]) == [Source("my-model-2", Path("my model=2.ckpt"))]
    with pytest.raises(UsageError, match="two checkpoints are called 'imdb': name them, as in first="):
        parse_sources([str(old), str(new)])
    with pytest.raises(UsageError, match="expected a name of up to 64 letters, digits and ._-, received 'a/b'"):
        parse_sources(["a/b=x.ckpt"])


def test_what_operators_mistype(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("text")
    assert check_root_path("/a/b/") == "/a/b"
    for args, problem in (
        (["--root_path", "a"], "--root_path as a path such as /imdb, received 'a'"),
        (["--workers", "0"], "--workers of at least 1, received 0"),
        (["--reload", "-1"], "--reload from 0 to 86,400, received -1.0"),
        (["--access_log", "none/log"], "--access_log 'none/log' cannot be written: No such file"),
        (["--token_file", "none"], "--token_file 'none' cannot be read"),
        ([checkpoint], "two checkpoints are called 'text'"),
    ):
        assert main([checkpoint, *args, "--port", "0"]) == 2
        assert problem in capsys.readouterr().err
    for wrong in ("none.ckpt", "reviews.csv"):
        assert main([wrong, "--port", "0", "--gpus", "0"]) != 0
        assert re.match(r"error: (no checkpoint at 'none.ckpt'|'reviews.csv' cannot be)", capsys.readouterr().err)


def test_before_the_models_are_loaded_only_the_probes_answer() -> None:
    release, told = threading.Event(), list[Exception | None]()

    def load() -> Models:
        release.wait(5)
        return Models([])

    def build(models: Models) -> FastAPI:
        app = FastAPI()
        app.get("/ready")(lambda: {"status": "ready"})
        return app

    gate = Gate(load, build, told.append)
    with TestClient(gate) as asked:
        assert asked.get("/health").json() == {"status": "ok"}
        waiting = asked.get("/ready")
        assert (waiting.status_code, waiting.json()) == (503, {"status": "loading"})
        refused = asked.post("/predict", json=TEXTS)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert "is being loaded" in refused.json()["detail"]
        release.set()
        while not told:
            time.sleep(0.01)
        assert told == [None]
        assert asked.get("/ready").status_code == 200
        gate.is_stopping = True
        assert asked.get("/ready").json() == {"status": "stopping"}
        assert asked.get("/docs").status_code == 200, "requests are answered until the end"


def test_a_new_checkpoint_takes_over_without_a_lost_request(trained: Trained) -> None:
    last = Path(trained("text"))
    held = torch.load(last, weights_only=True)
    served = Path("served.ckpt")
    shutil.copy(last, served)
    metrics = Metrics()
    loader, lines = make_loader(metrics), list[str]()
    sources = parse_sources(["text=served.ckpt"])
    loaded = asyncio.Event()

    async def run() -> Counter[tuple[int, str]]:
        gate = Gate(
            lambda: loader.load_all(sources), lambda models: make_app(models, LIMITS), lambda error: loaded.set()
        )
        found: Counter[tuple[int, str]] = Counter()
        stop = False

        async def ask(client: httpx.AsyncClient) -> None:
            while not stop:
                answer = await client.post("/predict", json=TEXTS)
                found[answer.status_code, answer.headers.get("X-Model-Version", "")] += 1

        async def wait_for(word: str) -> None:
            while not any(word in line for line in lines):
                await asyncio.sleep(0.02)
            before = sum(found.values())
            while sum(found.values()) < before + 100:
                await asyncio.sleep(0.02)

        async with (
            running(gate),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(Operations(gate, metrics=metrics)), base_url="http://localhost"
            ) as client,
        ):
            await loaded.wait()
            watching = asyncio.create_task(keep_reloading(gate, loader, sources, 0.05, lines.append))
            asking = [asyncio.create_task(ask(client)) for _ in range(8)]
            await asyncio.sleep(0.2)
            held["state_dict"] = {name: value * 1.5 for name, value in held["state_dict"].items()}
            torch.save(held, "new.ckpt")
            Path("new.ckpt").replace(served)
            await wait_for("is now")
            Path("damaged").write_bytes(served.read_bytes()[:5000])
            Path("damaged").replace(served)
            await wait_for("was not loaded")
            stop = True
            await asyncio.gather(*asking)
            watching.cancel()
        return found

    found = asyncio.run(run())
    assert {status for status, _ in found} == {200}, found
    assert len(found) == 2
    assert sum(found.values()) >= 200
    assert len(lines) == 2
    assert lines[0].startswith("model 'text' is now 'served.ckpt', sha256 ")
    assert re.match("'served.ckpt' was not loaded, and model 'text' stays: .* truncated or damaged", lines[1])
    told = metrics.write().decode()
    assert 'lightfit_reloads_total{model="text",result="loaded"} 1.0' in told
    assert 'lightfit_reloads_total{model="text",result="failed"} 1.0' in told
    assert len(re.findall(r"lightfit_model_info{.*} 1.0", told)) == 1


class running:  # noqa: N801 - a context
    """Run the lifespan of a gate."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    async def __aenter__(self) -> None:
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        await self.messages.put({"type": "lifespan.startup"})
        started = asyncio.Event()

        async def send(message: Any) -> None:
            started.set()

        self.task = asyncio.create_task(self.gate({"type": "lifespan"}, self.messages.get, send))
        await started.wait()

    async def __aexit__(self, *_: object) -> None:
        await self.messages.put({"type": "lifespan.shutdown"})
        await self.task


def test_a_served_model_predicts_as_a_trained_one(trained: Trained) -> None:
    path = trained("images")
    served, whole = load_served(path), load_trained(path)
    x = whole.codec.dummy_batch()
    assert torch.equal(served.model.predict_step(x, 0), whole.model.predict_step(x, 0))
    assert served.configuration == whole.configuration
    assert set(served.checkpoint) == {"lightfit", "hyper_parameters", "datamodule_hyper_parameters"}


# A checkpoint of a net of about 200 MB with the state of its optimizer, about 600 MB in all.
MAKE_LARGE = """
import sys
import torch
from lightfit.nets import FastResNet

held = torch.load(sys.argv[1], weights_only=True)
held["hyper_parameters"]["net"]["init_args"]["widths"] = widths = [256, 512, 1152, 1152]
net = FastResNet(**held["hyper_parameters"]["net"]["init_args"])
weights = {f"net.{name}": value for name, value in net.state_dict().items()}
held["state_dict"] = {name: value for name, value in held["state_dict"].items() if "." not in name} | weights
moments = {index: {"exp_avg": value * 1.0, "exp_avg_sq": value * 1.0} for index, value in enumerate(weights.values())}
held["optimizer_states"] = [{"state": moments, "param_groups": []}]
torch.save(held, sys.argv[2])
print(sum(value.nbytes for value in weights.values()))
"""
MEASURE = """
import sys
import threading
import time
from pathlib import Path
import torch
from lightfit.scripts.inference.predictor import Predictor
from lightfit.scripts.cli.presets import TASKS
from lightfit.scripts.inference.trained import load_served


def read_anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def watch():
    while not done:
        most[0] = max(most[0], read_anonymous())
        time.sleep(0.001)


load_served(sys.argv[1])  # imports what loading needs
before, most, done = read_anonymous(), [0], []
watching = threading.Thread(target=watch)
watching.start()
trained = load_served(sys.argv[2])
predictor = Predictor(trained.model, trained.codec, [torch.device("cpu")])
done.append(True)
watching.join()
print(max(most[0], read_anonymous()) - before)
"""


def run_program(program: str, *args: object) -> int:
    """Run a program in a process of its own, and return the number that it prints."""
    command = [sys.executable, "-c", program, *map(str, args)]
    environment = {**os.environ, "PYTHONPATH": str(TASKS.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of a process as Linux tells it")
def test_memory_holds_the_weights_once(trained: Trained) -> None:
    small = trained("images")
    num_bytes = run_program(MAKE_LARGE, small, "large.ckpt")
    assert num_bytes > 150e6
    assert Path("large.ckpt").stat().st_size > 2.9 * num_bytes
    # And once more the largest of its tensors, a quarter, while that one is initialised.
    assert run_program(MEASURE, small, "large.ckpt") < 1.35 * num_bytes
    Path("large.ckpt").unlink()


def wait_until(true: Callable[[], Any], seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process at once")
def test_workers_share_a_socket_and_are_started_again(trained: Trained) -> None:
    command = [sys.executable, str(TASKS.parent / "scripts" / "serve.py"), trained("text"), "--workers", "2"]
    with Path("errors").open("w") as errors:
        server = subprocess.Popen(
            [*command, "--port", "0", "--gpus", "0"], stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        assert server.stdout is not None
        address = re.findall(r"http://[^,]+", server.stdout.readline())[0]
        found: Counter[int] = Counter()

        def ask() -> httpx.Response:
            answer = httpx.post(f"{address}/predict", json=TEXTS, timeout=60)  # on a new connection each time
            found[answer.status_code] += 1
            return answer

        def read_metrics() -> str:
            return httpx.get(f"{address}/metrics", timeout=60).text

        def list_workers() -> set[int]:
            children = psutil.Process(server.pid).children()
            return {child.pid for child in children if any("spawn_main" in word for word in child.cmdline())}

        first = wait_until(lambda: len(workers := list_workers()) == 2 and workers)
        for _ in range(40):
            ask()
        counted = 'lightfit_requests_total{method="POST",path="/predict",status="200"} '
        assert f"{counted}40.0" in read_metrics(), "the numbers of both workers are added up"
        os.kill(max(first), signal.SIGKILL)  # the second one, which does not answer yet or answers nothing now
        wait_until(lambda: len(workers := list_workers()) == 2 and workers != first)
        for _ in range(20):
            ask()
        assert f"{counted}60.0" in read_metrics(), "what a dead worker has counted stays"
        assert found == {200: 60}, "a worker that is loading takes no connections"
        assert "lightfit_requests_in_flight 1.0" in read_metrics()

        server.terminate()
        assert server.wait(60) == 128 + signal.SIGTERM
        assert re.fullmatch(rf"worker {max(first)} ended \(-9\): another one is started\n", Path("errors").read_text())
    finally:
        server.kill()
        server.communicate()
