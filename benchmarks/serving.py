"""How many requests a second does the server answer, beside LitServe, and beside itself without batches?

The servers hold the same checkpoint and get the same JSON, one input a request, from 16 clients that ask in turn, the
one server and then the others: images of 64 x 64 pixels for a ResNet-18, and short texts for the task `text`. The rate
counts while 99 of 100 requests are answered within 200 ms. As other programs may run at the same time, the processor
time that a server takes for a request is told too.
"""

import asyncio
import base64
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import psutil  # type: ignore[import-untyped]
from PIL import Image

from benchmarks.figures import ROOT, Figure, figure
from benchmarks.timing import spread

CLIENTS, SIZE, ROUNDS, SECONDS = 16, 64, 6, 8.0
START_S = 300.0


class Round(NamedTuple):
    """The result of a round of requests."""

    per_second: float
    latencies: list[float]  # seconds
    errors: int
    cpu_s: float  # of all processes of the server


class Running(NamedTuple):
    """A server that runs."""

    process: subprocess.Popen[bytes]
    port: int


def measure() -> Iterator[Figure]:
    """Train, serve, and send requests in alternation."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        checkpoint = train(work)
        content = next((work / "images" / "dark").iterdir()).read_bytes()
        body = json.dumps({"images": [base64.b64encode(content).decode()]}).encode()
        starts = {
            "ours": serve(checkpoint, 32),
            "LitServe": serve_peer(checkpoint),
            "one at a time": serve(checkpoint, 1),
        }
        yield from compare("images", starts, body)
        texts = train_text(work)
        body = json.dumps({"texts": ["a good film, and nothing of it is too long to be seen again"]}).encode()
        yield from compare("texts", {"ours": serve(texts, 32), "LitServe": serve_peer(texts)}, body)


def compare(kind: str, starts: dict[str, Callable[[], Running]], body: bytes) -> Iterator[Figure]:
    """Yield how many requests the first server answers for each one of the others."""
    servers: dict[str, Running] = {}
    rounds: dict[str, list[Round]] = {name: [] for name in starts}
    try:
        for name, start in starts.items():
            servers[name] = start()
            wait_for(servers[name], body)
            asyncio.run(ask(servers[name], body, 2))  # the first requests allocate
        for _ in range(ROUNDS):
            for name, running in servers.items():
                rounds[name].append(asyncio.run(ask(running, body, SECONDS)))
    finally:
        for running in servers.values():
            stop(running)
    words = {name: format_rounds(done) for name, done in rounds.items()}
    for name in [name for name in starts if name != "ours"]:
        more = spread(
            [one.per_second / other.per_second for one, other in zip(rounds["ours"], rounds[name], strict=True)]
        )
        note, target = f"{words['ours']}; {name} {words[name]}", ">= 1" if name == "LitServe" else ""
        ours = f"{kind}: requests of {CLIENTS} clients"
        yield figure("serving", ours, name, more, "times as many", rounds=ROUNDS, note=note, target=target)


def train_text(folder: Path) -> Path:
    """Train the task `text` on generated texts; return the checkpoint."""
    rows = (f"a {('bad', 'good')[index % 2]} film number {index},{index % 2}\n" for index in range(200))
    (folder / "texts.csv").write_text("text,label\n" + "".join(rows))
    arguments = ["--task", "text", "--data.source=texts.csv", "--trainer.max_epochs=1", "--quiet"]
    command = [sys.executable, str(ROOT / "scripts" / "fit.py"), *arguments]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder / "runs" / "text" / "version_0" / "checkpoints" / "last.ckpt"


def train(folder: Path) -> Path:
    """Train a net on generated images; one epoch, as its weights do not matter here. Return the checkpoint."""
    rng = np.random.default_rng(0)
    for name, brightness in (("bright", 180), ("dark", 20)):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(20):
            pixels = brightness + rng.integers(0, 60, (SIZE, SIZE, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / name / f"{number}.png")
    net = ["--model.net=lightfit.nets.TorchvisionNet", "--model.net.name=resnet18"]
    data = [
        "--data.root=images",
        f"--data.transforms.size={SIZE}",
        "--trainer.max_epochs=1",
        "--trainer.callbacks=null",
        "--quiet",
    ]
    command = [sys.executable, str(ROOT / "scripts" / "fit.py"), "--task", "images", *net, *data]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder / "runs" / "images" / "version_0" / "checkpoints" / "last.ckpt"


def serve(checkpoint: Path, max_batch_size: int) -> Callable[[], Running]:
    """Return a function that starts our server."""
    command = [sys.executable, str(ROOT / "scripts" / "serve.py"), str(checkpoint)]
    return lambda: _start([*command, "--max_batch_size", str(max_batch_size), "--port"])


def serve_peer(checkpoint: Path) -> Callable[[], Running]:
    """Return a function that starts LitServe with the same model."""
    return lambda: _start([sys.executable, "-m", "benchmarks.litserve_peer", str(checkpoint)])


def _start(command: list[str]) -> Running:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Running(subprocess.Popen([*command, str(port)], cwd=ROOT, stdout=subprocess.DEVNULL), port)


def wait_for(running: Running, body: bytes) -> None:
    """Wait for the first prediction."""
    end = time.monotonic() + START_S
    headers = {"content-type": "application/json"}
    while time.monotonic() < end and running.process.poll() is None:
        try:
            address = f"http://127.0.0.1:{running.port}/predict"
            if httpx.post(address, content=body, headers=headers, timeout=30, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"{running.process.args!r} does not answer")


def stop(running: Running) -> None:
    """End a server with all its processes."""
    children = psutil.Process(running.process.pid).children(recursive=True) if running.process.poll() is None else []
    running.process.terminate()
    try:
        running.process.wait(20)
    except subprocess.TimeoutExpired:
        running.process.kill()
    for child in children:
        if child.is_running():
            child.kill()


def measure_cpu(running: Running) -> float:
    """Return the processor time that the processes of a server have taken, in seconds."""
    parent = psutil.Process(running.process.pid)
    return sum(sum(process.cpu_times()[:2]) for process in (parent, *parent.children(recursive=True)))


async def ask(running: Running, body: bytes, seconds: float) -> Round:
    """Let all clients send one request after the other for some time, each on its own connection."""
    kind = "Host: localhost\r\nContent-Type: application/json"
    head = f"POST /predict HTTP/1.1\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    latencies: list[float] = []
    errors = 0
    end = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        while time.perf_counter() < end:
            started = time.perf_counter()
            writer.write(head + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
            latencies.append(time.perf_counter() - started)
            errors += not answer.startswith(b"HTTP/1.1 200")
        writer.close()

    started, before = time.perf_counter(), measure_cpu(running)
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    per_second = len(latencies) / (time.perf_counter() - started)
    return Round(per_second, latencies, errors, measure_cpu(running) - before)


def format_rounds(rounds: list[Round]) -> str:
    """Format requests a second, the slowest of a hundred, processor time and errors."""
    latencies = sorted(latency for item in rounds for latency in item.latencies)
    per_second = statistics.median(item.per_second for item in rounds)
    p99 = 1000 * latencies[int(0.99 * (len(latencies) - 1))]
    cpu = 1000 * sum(item.cpu_s for item in rounds) / len(latencies)
    errors = sum(item.errors for item in rounds)
    return f"{per_second:.0f} a second, p99 {p99:.0f} ms, {cpu:.1f} ms of processor time each, {errors} errors"
