"""Fixtures of all tests: no network, a temporary working directory, small data sets."""

import csv
import os
import random
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

# Before torch is imported: more threads slow small nets down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Lightning 2.6 uses names of jsonargparse that are deprecated.
os.environ["JSONARGPARSE_DEPRECATION_WARNINGS"] = "off"

from lightfit.scripts.fit import main as fit_main

GOOD = ("good", "fine", "great", "lovely")
BAD = ("bad", "awful", "poor", "dreadful")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what passed tests recorded as the property `said`."""
    for report in terminalreporter.stats.get("passed", []):
        for line in (value for name, value in report.user_properties if name == "said"):
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every connection to another machine fail."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):  # type: ignore[index]
            raise OSError(f"no network in tests: {address}")
        connect(self, address)  # type: ignore[arg-type]

    def resolve(host: object, *args: object, **kwargs: object) -> object:
        if host not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"no network in tests: {host}")
        return getaddrinfo(host, *args, **kwargs)  # type: ignore[arg-type]

    getaddrinfo = socket.getaddrinfo
    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set and return a temporary working directory, for `data/` and `runs/`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["test"])
    return tmp_path


def write_csv(path: Path, rows: list[tuple[str, str]], header: tuple[str, ...] | None = ("text", "label")) -> Path:
    """Write rows to a CSV file and return its path."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows] if header else rows)
    return path


def make_reviews(num_rows: int = 80) -> list[tuple[str, str]]:
    """Make short separable texts, all different, half of each label."""
    rng = random.Random(0)
    rows = []
    for index in range(num_rows):
        words, label = (GOOD, "pos") if index % 2 else (BAD, "neg")
        rows.append((f"a {rng.choice(words)} film, number{index} {rng.choice(words)}", label))
    return rows


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """Write a table of 80 labelled texts and return its path."""
    return write_csv(tmp_path / "reviews.csv", make_reviews())


def make_images(
    root: Path,
    *,
    per_class: int = 20,
    first: int = 0,
    names: tuple[str, ...] = ("bright", "dark"),
    size: Callable[[int], tuple[int, int]] = lambda index: (20 + index % 20, 20 + index % 11),
) -> Path:
    """Make PNG files `<class>/<index>.png`, all different, with classes separable by brightness."""
    for name in names:
        rng = np.random.default_rng([first, *name.encode()])
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(first, first + per_class):
            width, height = size(index)
            pixels = {"bright": 170, "dark": 20}.get(name, 100) + rng.integers(0, 50, (height, width, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{index:02d}.png")
    return root


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Make a folder of 40 images in two classes and return its path."""
    return make_images(tmp_path / "images")


def make_series(num_rows: int = 240, freq: str = "h", first: float = 0.0) -> pd.DataFrame:
    """Make a table with the columns `date`, `load`, of period 24 rows, and `wind`, which is noise."""
    step = np.arange(num_rows) + first
    wind = np.random.default_rng(0).normal(size=num_rows)
    load = 10 + 3 * np.sin(2 * np.pi * step / 24) + 0.01 * step
    return pd.DataFrame({"date": pd.date_range("2024-01-01", periods=num_rows, freq=freq), "load": load, "wind": wind})


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Write a table of 240 hours and return its path."""
    make_series().to_csv(tmp_path / "series.csv", index=False)
    return tmp_path / "series.csv"


@pytest.fixture
def fit(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return the command `fit.py`, run in this process on the CPU: arguments to exit code, output and errors."""

    def run(*args: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = fit_main(["--gpus", "0", *map(str, args)])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


FITS: dict[str, tuple[object, ...]] = {
    "text": (
        *("--data.source", "reviews.csv", "--data.max_ngrams", 1000, "--data.min_steps", 1),
        *("--trainer.max_epochs", 3),
    ),
    "words": (  # the preset text as it was before n-grams
        *("--data.source", "reviews.csv", "--data.ngrams", 1, "--data.min_steps", 1, "--trainer.max_epochs", 3),
        *("--data.tokenizer", "lightfit.datamodules.text.tokenize_words"),
        *("--model.net", "lightfit.nets.NaiveBayesBag", "--model.net.num_buckets", 1000),
    ),
    "images": ("--data.root", "images", "--data.num_workers", 0, "--trainer.max_epochs", 6),
    "series": ("--data.path", "series.csv", "--data.target", "load", "--data.lookback", 48, "--trainer.max_epochs", 3),
}


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from a task to a folder with a run of it and its small data; it trains each task once."""
    folders: dict[str, Path] = {}

    def train(task: str) -> Path:
        if task not in folders:
            folders[task] = folder = tmp_path_factory.mktemp(task)
            write_csv(folder / "reviews.csv", make_reviews())
            make_images(folder / "images")
            make_series().to_csv(folder / "series.csv", index=False)
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                preset = "text" if task == "words" else task
                assert fit_main(["--gpus", "0", "--task", preset, "--quiet", *map(str, FITS[task])]) == 0
        return folders[task]

    return train


@pytest.fixture
def trained(trained_once: Callable[[str], Path], workplace: Path) -> Callable[[str], str]:
    """Return a function from a task to the checkpoint of a run in the working directory, with its data."""

    def copy(task: str) -> str:
        shutil.copytree(trained_once(task), workplace, dirs_exist_ok=True)
        return f"runs/{'text' if task == 'words' else task}/version_0/checkpoints/last.ckpt"

    return copy


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without logging; `/short` announces more bytes than it sends."""

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"only this")
        else:
            super().do_GET()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Start a file server and return its address and folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}", folder
    http.shutdown()
    thread.join()
    http.server_close()
