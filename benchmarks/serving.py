"""How many requests a second does the server answer, with batches and without? `python benchmarks/serving.py`.

Two servers of the same checkpoint, ResNet-18 on images of 64 x 64 pixels: one that predicts up to 32 requests together,
and its peer, which predicts one at a time. 16 clients ask in turn, the one server and then the other, each of them six
times for 10 seconds, a minute in all.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CLIENTS, SIZE = 16, 64


class Round(NamedTuple):
    """What a round of requests gave."""

    per_second: float
    latencies: list[float]  # seconds
    errors: int


def main() -> None:
    """Trains, serves twice, asks in alternation, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6, help="rounds of each server (default: 6)")
    parser.add_argument("--seconds", type=float, default=10, help="seconds of a round (default: 10)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = train(Path(folder))
        body = next((Path(folder) / "images" / "dark").iterdir()).read_bytes()
        servers = {"batched": serve(checkpoint, 32), "one at a time": serve(checkpoint, 1)}
        try:
            rounds: dict[str, list[Round]] = {name: [] for name in servers}
            for _, port in servers.values():
                asyncio.run(ask(port, body, 2))  # the first requests allocate
            for _ in range(options.rounds):
                for name, (_, port) in servers.items():
                    rounds[name].append(asyncio.run(ask(port, body, options.seconds)))
        finally:
            for process, _ in servers.values():
                process.terminate()
    show(rounds)


def train(folder: Path) -> Path:
    """A checkpoint of a net on images made up; an epoch, as its weights do not matter here."""
    chance = np.random.default_rng(0)
    for name, brightness in (("bright", 180), ("dark", 20)):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(20):
            pixels = brightness + chance.integers(0, 60, (SIZE, SIZE, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / name / f"{number}.png")
    net = ["--model.net=lightning_modules.nets.TorchvisionNet", "--model.net.name=resnet18"]
    data = [
        "--data.root=images",
        f"--data.transforms.size={SIZE}",
        "--trainer.max_epochs=1",
        "--trainer.callbacks=null",
        "--quiet",
    ]
    command = [sys.executable, ROOT / "scripts" / "fit.py", "--task", "images", *net, *data]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder / "runs" / "images" / "version_0" / "checkpoints" / "last.ckpt"


def serve(checkpoint: Path, max_batch_size: int) -> tuple[subprocess.Popen[str], int]:
    """A server and its port."""
    command = [sys.executable, ROOT / "scripts" / "serve.py", checkpoint, "--port", "0"]
    process = subprocess.Popen(
        [*map(str, command), "--max_batch_size", str(max_batch_size)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline().split("127.0.0.1:")[1].split(",")[0])


async def ask(port: int, body: bytes, seconds: float) -> Round:
    """All clients ask one request after the other for some time, each on a connection of its own."""
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


def show(rounds: dict[str, list[Round]]) -> None:
    """Prints medians, and the ratio of neighbouring rounds with its spread."""
    for name, done in rounds.items():
        latencies = sorted(latency for item in done for latency in item.latencies)
        p50, p99 = (1000 * latencies[int(part * (len(latencies) - 1))] for part in (0.5, 0.99))
        print(
            f"{name}: {statistics.median(item.per_second for item in done):.0f} requests/s, p50 {p50:.0f} ms, p99 "
            f"{p99:.0f} ms; {len(latencies):,} requests, {sum(item.errors for item in done)} errors"
        )
    first, second = rounds.values()
    ratios = sorted(one.per_second / other.per_second for one, other in zip(first, second, strict=True))
    print(f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
