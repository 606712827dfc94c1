"""How many requests a second does the server answer, with batches and without?

Two servers of the same checkpoint, ResNet-18 on images of 64 x 64 pixels: one that predicts up to 32 requests together,
and its peer, which predicts one at a time. 16 clients ask in turn, the one server and then the other.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.figures import ROOT, Figure, figure
from benchmarks.timing import spread

CLIENTS, SIZE, ROUNDS, SECONDS = 16, 64, 6, 8.0


class Round(NamedTuple):
    """The result of a round of requests."""

    per_second: float
    latencies: list[float]  # seconds
    errors: int


def measure() -> Iterator[Figure]:
    """Train, serve twice, and send requests in alternation."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = train(Path(folder))
        body = next((Path(folder) / "images" / "dark").iterdir()).read_bytes()
        servers = {"batched": serve(checkpoint, 32), "one at a time": serve(checkpoint, 1)}
        rounds: dict[str, list[Round]] = {name: [] for name in servers}
        try:
            for _, port in servers.values():
                asyncio.run(ask(port, body, 2))  # the first requests allocate
            for _ in range(ROUNDS):
                for name, (_, port) in servers.items():
                    rounds[name].append(asyncio.run(ask(port, body, SECONDS)))
        finally:
            for process, _ in servers.values():
                process.terminate()
    words = {name: format_rounds(done) for name, done in rounds.items()}
    more = spread([one.per_second / other.per_second for one, other in zip(*rounds.values(), strict=True)])
    note = f"{words['batched']}; one at a time {words['one at a time']}"
    ours, peer = f"requests of {CLIENTS} clients, predicted together", "one at a time"
    yield figure("serving", ours, peer, more, "times as many", rounds=ROUNDS, note=note)


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


def serve(checkpoint: Path, max_batch_size: int) -> tuple[subprocess.Popen[str], int]:
    """Start a server; return it and its port."""
    command = [sys.executable, ROOT / "scripts" / "serve.py", checkpoint, "--port", "0"]
    process = subprocess.Popen(
        [*map(str, command), "--max_batch_size", str(max_batch_size)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline().split("127.0.0.1:")[1].split(",")[0])


async def ask(port: int, body: bytes, seconds: float) -> Round:
    """Let all clients send one request after the other for some time, each on its own connection."""
    head = (
        f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    latencies: list[float] = []
    errors = 0
    end = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            started = time.perf_counter()
            writer.write(head + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
            latencies.append(time.perf_counter() - started)
            errors += not answer.startswith(b"HTTP/1.1 200")
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return Round(len(latencies) / (time.perf_counter() - started), latencies, errors)


def format_rounds(rounds: list[Round]) -> str:
    """Format requests a second, the slowest of a hundred, and errors."""
    latencies = sorted(latency for item in rounds for latency in item.latencies)
    per_second = statistics.median(item.per_second for item in rounds)
    p99 = 1000 * latencies[int(0.99 * (len(latencies) - 1))]
    return f"{per_second:.0f} a second, p99 {p99:.0f} ms, {sum(item.errors for item in rounds)} errors"
