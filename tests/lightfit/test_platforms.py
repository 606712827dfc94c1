"""What differs between systems, simulated: without fcntl, fork and SIGKILL, with a console of few characters."""

import ast
import errno
import io
import os
import pickle
import re
import signal
import sys
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from lightfit import platforms
from lightfit.datamodules import DataModule, ImageDataModule, SeriesDataModule, TextDataModule
from lightfit.files import whole_file, whole_folder
from lightfit.scripts.check import main as check
from lightfit.scripts.cli.exit_codes import exit_code
from lightfit.scripts.cli.presets import TASKS

ROOT = TASKS.parent
FOLDERS = ("lightfit", "lightning_modules", "datamodules", "callbacks", "scripts")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
OF_ONE_SYSTEM = {  # names of modules and of what is in them, which some system lacks
    *("fcntl", "resource", "pwd", "grp", "termios", "pty", "msvcrt", "winreg"),
    *("os.name", "os.fork", "os.getuid", "os.geteuid", "os.getpgid", "os.setsid", "os.killpg", "os.mkfifo"),
    *("os.sched_getaffinity", "os.statvfs", "os.symlink", "os.link", "os.sync", "os.nice", "os.uname"),
    *("sys.platform", "platform.system", "signal.SIGKILL", "signal.SIGHUP", "signal.SIGPIPE", "signal.SIGUSR1"),
    *("signal.SIGUSR2", "signal.SIGALRM", "signal.alarm", "signal.setitimer", "signal.pthread_sigmask"),
    *("mps.is_available", "time.tzset", "select.poll", "select.epoll"),
}


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate Windows, but for its paths."""
    monkeypatch.setattr(platforms, "WINDOWS", True)
    monkeypatch.setattr(platforms, "WAIT_S", 0.0)


def list_names(source: str) -> set[str]:
    """Return modules that a file imports, and `module.name` of what it uses or imports of them."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Attribute):
            found.add(f"{getattr(node.value, 'id', None) or getattr(node.value, 'attr', '')}.{node.attr}")
    return found


def test_one_module_asks_for_the_system() -> None:
    words = re.compile(rf"\b({'|'.join(name.rpartition('.')[2] for name in OF_ONE_SYSTEM)})\b|/proc/")
    sources = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in FILES}
    found = {
        (path, name)
        for path, source in sources.items()
        if words.search(source)  # to parse few files
        for name in (list_names(source) & OF_ONE_SYSTEM) | ({"/proc/"} if "/proc/" in source else set())
    }
    assert {path for path, _ in found} == {"lightfit/platforms.py"}, found


def opens_text_without_encoding(call: ast.Call) -> bool:
    is_method, words = isinstance(call.func, ast.Attribute), {keyword.arg for keyword in call.keywords}
    name = getattr(call.func, "attr", None) or getattr(call.func, "id", None)
    mode = "".join(str(item.value) for item in call.args if isinstance(item, ast.Constant))
    text = (name == "open" and mode in ("r", "w", "a", "x")) or (name == "open" and not is_method and "b" not in mode)
    return "encoding" not in words and (text or (is_method and name in ("read_text", "write_text")))


def test_text_files_have_an_encoding() -> None:
    for path in FILES:
        source = path.read_text(encoding="utf-8")
        if re.search(r"\bopen\(|read_text|write_text", source):
            calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
            assert [call.lineno for call in calls if opens_text_without_encoding(call)] == [], path


def test_the_table_names_each_difference() -> None:
    table = (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")
    tree = ast.parse((ROOT / "lightfit" / "platforms.py").read_text(encoding="utf-8"))
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert [name for name in functions if f"`{name}`" not in table] == []


def test_signals_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert platforms.list_stop_signals()[:2] == (signal.SIGTERM, signal.SIGINT)
    if sys.platform != "win32":
        assert platforms.find_kill_signal() == signal.SIGKILL
    monkeypatch.delattr(signal, "SIGKILL", raising=False)
    monkeypatch.setattr(signal, "SIGBREAK", 21, raising=False)
    assert platforms.find_kill_signal() == signal.SIGTERM
    assert platforms.list_stop_signals() == (signal.SIGTERM, signal.SIGINT, 21)


def test_processors_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert platforms.count_processors() == 3


def test_the_processor_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platforms, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr("platform.processor", lambda: "Intel64 Family 6")
    assert platforms.name_processor() == "Intel64 Family 6"
    (tmp_path / "cpuinfo").write_bytes(b"flags: \xff\nmodel name\t: A processor\n")
    monkeypatch.setattr(platforms, "CPUINFO", tmp_path / "cpuinfo")
    assert platforms.name_processor() == "A processor"


def test_dtype_of_sums_where_there_is_no_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    from lightfit.lightning_modules.epoch_log import SampleMean

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    mean = SampleMean()
    mean.add(torch.tensor(2.0), 4)
    assert mean.compute() == 2
    assert mean.total.dtype == torch.float32
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert SampleMean().total.dtype == torch.float64


@pytest.mark.parametrize("busy", [3, 1000])
def test_a_file_that_another_program_has_open(busy: int, windows: None, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, rename = [], os.replace

    def refuse_at_first(source: Any, target: Any) -> None:
        calls.append(source)
        if len(calls) <= busy:
            raise PermissionError(errno.EACCES, "used by another process", str(target))
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse_at_first)

    def write() -> None:
        with whole_file(Path("a.txt"), durable=True) as unfinished:
            unfinished.write_text("whole", encoding="utf-8")

    if busy == 3:
        write()
        assert Path("a.txt").read_text(encoding="utf-8") == "whole"
    else:
        with pytest.raises(PermissionError, match="used by another process"):
            write()
        assert len(calls) == platforms.TRIES
        assert not list(Path.cwd().iterdir()), "no unfinished file is left"


def test_elsewhere_a_refusal_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def refuse(source: Any, target: Any) -> None:
        calls.append(source)
        raise PermissionError(errno.EACCES, "not allowed")

    monkeypatch.setattr(platforms, "WINDOWS", False)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError), whole_folder(Path("folder")):
        pass
    assert len(calls) == 1


def test_a_folder_cannot_be_synced_on_windows(windows: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    opened: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda path, flags: opened.append(path) or 0)
        patch.setattr(os, "fsync", lambda handle: None)
        patch.setattr(os, "close", lambda handle: None)
        platforms.sync(tmp_path)
        platforms.sync(tmp_path / "file")
    assert opened == [tmp_path / "file"]


def test_commands_are_quoted_for_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--resume", r"C:\My runs\text"]
    monkeypatch.setattr(platforms, "WINDOWS", False)
    assert platforms.join_command(words) == r"--resume 'C:\My runs\text'"
    monkeypatch.setattr(platforms, "WINDOWS", True)
    assert platforms.join_command(words) == r'--resume "C:\My runs\text"'


def test_the_end_of_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "WINDOWS", False)
    monkeypatch.setattr(platforms, "POLL_S", 0.0)
    parents = iter([7, 7, 1])
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    platforms.wait_for_parent(7)
    assert next(parents, None) is None


def test_the_end_of_the_parent_on_windows(windows: None, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []

    class Kernel:
        OpenProcess = staticmethod(lambda access, inherit, process: f"handle of {process}")
        WaitForSingleObject = staticmethod(lambda handle, milliseconds: waited.append(handle))

    monkeypatch.setattr("ctypes.windll", type("Libraries", (), {"kernel32": Kernel}), raising=False)
    platforms.wait_for_parent(7)
    assert waited == ["handle of 7"]


@pytest.mark.parametrize(
    ("error", "on_windows", "expected"),
    [
        (BrokenPipeError(errno.EPIPE, ""), False, True),
        (OSError(errno.EINVAL, "Invalid argument"), True, True),
        (OSError(errno.EINVAL, "Invalid argument"), False, False),
        (OSError(errno.EINVAL, "Invalid argument", "a?.csv"), True, False),
        (OSError(errno.ENOSPC, "No space left on device"), True, False),
    ],
)
def test_a_closed_pipe(error: OSError, on_windows: bool, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "WINDOWS", on_windows)
    assert platforms.is_closed_pipe(error) == expected


@pytest.mark.parametrize(("encoding", "shown"), [("cp1252", r"\u4e2d\u6587"), ("gbk", "中文"), ("utf-8", "中文")])
def test_a_console_that_lacks_characters(encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", console)
    assert exit_code(lambda: print("class 中文 ✓"), debug=False) == 0
    assert shown in console.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert console.errors == "strict", "as it was before"


def test_classes_in_chinese_on_a_console_of_western_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"电影 {index} {'好' if index % 2 else '坏'},{'正面' if index % 2 else '负面'}" for index in range(40)]
    Path("评论.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", console)
    assert check(["--task", "text", "--data.source", "评论.csv"]) == 0
    console.flush()
    assert r"\u6b63\u9762" in console.buffer.getvalue().decode("cp1252")  # type: ignore[attr-defined]


def set_up(name: str, request: pytest.FixtureRequest) -> DataModule:
    source = str(request.getfixturevalue({"text": "reviews"}.get(name, name)))
    makers: dict[str, Callable[[], DataModule]] = {
        "text": lambda: TextDataModule(source, batch_size=8),
        "images": lambda: ImageDataModule(source, batch_size=8, num_workers=1),
        "series": lambda: SeriesDataModule(source, target="load", lookback=24, horizon=6, batch_size=8),
    }
    data = makers[name]()
    data.setup()
    return data


@pytest.mark.parametrize("name", ["text", "images", "series"])
def test_what_workers_get_can_be_pickled(name: str, request: pytest.FixtureRequest) -> None:
    data = set_up(name, request)
    loader: Any = data.train_dataloader()
    expected = next(iter(DataLoader(loader.dataset, batch_size=None, sampler=loader.sampler)))
    dataset, _ = pickle.loads(ForkingPickler.dumps((loader.dataset, loader.collate_fn)))
    again = next(iter(DataLoader(dataset, batch_size=None, sampler=loader.sampler)))
    assert all(torch.equal(one, other) for one, other in zip(expected, again, strict=True))


def test_workers_that_start_anew_get_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from lightfit.datamodules import sampler

    waited: list[float] = []

    class Semaphore:
        def __init__(self, value: int) -> None:
            pass

        def acquire(self, timeout: float) -> bool:
            waited.append(timeout)
            return True

    monkeypatch.setattr(sampler.multiprocessing, "Semaphore", Semaphore)
    loader = DataLoader([1, 2], num_workers=2)  # type: ignore[arg-type]
    for forks in (True, False):
        monkeypatch.setattr(sampler, "forks_workers", lambda forks=forks: forks)
        sampler.start_workers(loader, lambda: iter([]))
    assert waited == [sampler.START_S] * 2 + [sampler.SPAWN_S] * 2


@pytest.mark.slow
def test_workers_that_are_spawned_bring_the_same_batches(request: pytest.FixtureRequest) -> None:
    data = set_up("images", request)
    loader: Any = data.train_dataloader()
    expected = [x for x, _ in DataLoader(loader.dataset, batch_size=None, sampler=loader.sampler)]
    spawned: Any = DataLoader(
        loader.dataset, batch_size=None, sampler=loader.sampler, num_workers=1, multiprocessing_context="spawn"
    )
    assert all(torch.equal(one, other) for one, (other, _) in zip(expected, spawned, strict=True))
