"""Runs of fit.py for tests that kill them, each in a process forked from a server with all imports done."""

import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

TIMEOUT_S = 120  # a longer run hangs
forkserver = multiprocessing.get_context("forkserver")
LOADED = ["lightfit.scripts.training.run", "lightfit.callbacks", "lightfit.nets", "torchvision.transforms"]
forkserver.set_forkserver_preload(LOADED)


def _fit(folder: Path, log: str, args: Sequence[str], file_bytes: int) -> None:
    if file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    os.chdir(folder)
    sys.path.insert(0, str(folder))  # as the script does, for custom classes
    stream = open(log, "a", buffering=1)  # noqa: SIM115 - as long as the process
    sys.stdout = sys.stderr = stream
    sys.argv = ["fit.py"]
    from lightfit.scripts.fit import main

    try:
        code = main(list(args))
    except BaseException:
        traceback.print_exc()
        code = 1
    stream.flush()
    os._exit(code)


def start(folder: Path, args: Sequence[str], log: str = "log.txt", *, file_bytes: int = 0) -> Any:
    """Start a run in a folder; `file_bytes` limits the size of its files, 0 for no limit."""
    (folder / log).touch()
    process = forkserver.Process(target=_fit, args=(folder, log, args, file_bytes))
    process.start()
    return process


def finish(folder: Path, args: Sequence[str], log: str = "log.txt", *, file_bytes: int = 0) -> int:
    """Run to the end and return the exit code."""
    process = start(folder, args, log, file_bytes=file_bytes)
    process.join(TIMEOUT_S)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"no end after {TIMEOUT_S} s: {(folder / log).read_text()}")
    return process.exitcode


def finish_well(folder: Path, args: Sequence[str]) -> None:
    """Run to the end and assert exit code 0; the failure message shows the log."""
    log = folder / "log.txt"
    before = log.stat().st_size if log.exists() else 0
    code = finish(folder, args)
    assert code == 0, f"exit code {code}, having printed: {log.read_text()[before:]}"


def kill_when(
    process: Any, ready: Callable[[], bool], signal_number: int = signal.SIGKILL, after_s: float = 0.0
) -> bool:
    """Send a signal some time after a condition holds; return whether the run was still alive."""
    deadline = time.monotonic() + TIMEOUT_S
    while not ready():
        if process.exitcode is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    time.sleep(after_s)
    alive = process.exitcode is None
    if alive:
        os.kill(process.pid, signal_number)
    if signal_number == signal.SIGKILL:
        process.join(TIMEOUT_S)
    return alive


def contents(run: Path) -> dict[str, Any]:
    """Return the results of a run: last.ckpt without paths and times, history.csv, and the names of its checkpoints."""
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    kept = ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step", "history", "random_states")
    scores = [state.get("best_model_score") for name, state in checkpoint["callbacks"].items() if "BestAndLast" in name]
    return {
        **{name: checkpoint[name] for name in kept},
        "best": scores,
        "history.csv": (run / "history.csv").read_bytes(),
        "files": sorted(path.name for path in (run / "checkpoints").iterdir()),
    }


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """List where two structures of tensors and plain data differ, bit by bit."""
    if isinstance(one, torch.Tensor):
        same = isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
        return [] if same else [where]
    if type(one) is not type(other):
        return [where]
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return [f"{where}: {sorted(map(str, one))} {sorted(map(str, other))}"]
        return [found for key in one for found in differences(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, (list, tuple)):
        if len(one) != len(other):
            return [f"{where}: {len(one)} {len(other)}"]
        pairs = enumerate(zip(one, other, strict=True))
        return [found for i, (left, right) in pairs for found in differences(left, right, f"{where}[{i}]")]
    return [] if one == other else [f"{where}: {one} {other}"]
