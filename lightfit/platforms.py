"""What differs between Linux, macOS and Windows: the one place that asks which system this is.

docs/platforms.md lists the differences. Everything else is written for all three: paths by `pathlib`, locks by
`filelock`, text files with their encoding, arguments of worker processes that can be pickled.
"""

import ctypes
import errno
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

WINDOWS = os.name == "nt"
SIGPIPE = 13  # which Windows lacks
POLL_S = 1.0
TRIES, WAIT_S = 20, 0.05  # to rename onto a file that another program has open, as virus scanners do for a moment
CPUINFO = Path("/proc/cpuinfo")  # of Linux
SYNCHRONIZE, FOREVER = 0x00100000, 0xFFFFFFFF  # of Windows: the right to wait for a process, and for how long


def list_stop_signals() -> tuple[int, ...]:
    """Return the signals that ask a program to end; SIGBREAK is that of Ctrl-Break on Windows."""
    found = (getattr(signal, name, None) for name in ("SIGTERM", "SIGINT", "SIGBREAK"))
    return tuple(number for number in found if number is not None)


def find_kill_signal() -> int:
    """Return the signal that ends a process at once: SIGKILL, or SIGTERM on Windows, which ends it as surely there."""
    return getattr(signal, "SIGKILL", signal.SIGTERM)


def is_closed_pipe(error: OSError) -> bool:
    """Return whether an error is that of writing to a program that has ended; on Windows it may be EINVAL."""
    return isinstance(error, BrokenPipeError) or (WINDOWS and error.errno == errno.EINVAL and error.filename is None)


def count_processors() -> int:
    """Return the number of processors that this process may use; macOS and Windows only tell how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def name_processor() -> str:
    """Return the name of the processor, from Linux' own file where there is one."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def wait_for_parent(parent: int) -> None:
    """Return when the process that started this one has ended.

    Args:
        parent: its id, `os.getppid()` while it runs.
    """
    if WINDOWS:  # where the id of the parent stays the same
        kernel: Any = getattr(ctypes, "windll").kernel32  # noqa: B009 - only there
        kernel.WaitForSingleObject(kernel.OpenProcess(SYNCHRONIZE, False, parent), FOREVER)
        return
    while os.getppid() == parent:
        time.sleep(POLL_S)


def forks_workers() -> bool:
    """Return whether worker processes are forked; those of macOS and Windows start anew and import everything again."""
    import multiprocessing  # here, as `--help` imports this file

    return multiprocessing.get_context().get_start_method() == "fork"


def replace(source: Path, target: Path) -> None:
    """Rename a file or folder onto another one; on Windows, wait for a moment while that is open elsewhere.

    Raises:
        OSError: it could not be renamed.
    """
    for attempt in range(TRIES):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if not WINDOWS or attempt == TRIES - 1:
                raise
            time.sleep(WAIT_S)


def sync(path: Path) -> None:
    """Have the disk confirm that a file, or the names in a folder, are written; Windows cannot open a folder."""
    if WINDOWS and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def join_command(words: Sequence[str]) -> str:
    """Return a command as it is typed, with the quotes of this system's shell."""
    return subprocess.list2cmdline(words) if WINDOWS else shlex.join(words)


@contextmanager
def printing_any_character() -> Iterator[None]:
    """Print what the console's encoding lacks as `\\u4e2d`, instead of ending with an error.

    Consoles of Windows have encodings of a few hundred characters, such as cp1252, and so have files that a program's
    output is redirected to.
    """
    strict: list[Any] = [stream for stream in (sys.stdout, sys.stderr) if getattr(stream, "errors", "") == "strict"]
    strict = [stream for stream in strict if hasattr(stream, "reconfigure")]
    for stream in strict:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream in strict:
            with suppress(OSError, ValueError):  # its reader has ended, or it is closed
                stream.reconfigure(errors="strict")


def find_sum_dtype() -> Any:
    """Return the dtype of long sums: float64, or float32 where there is one of Apple's GPUs, which lack float64."""
    import torch  # here, as `--help` imports this file

    return torch.float32 if torch.backends.mps.is_available() else torch.float64
