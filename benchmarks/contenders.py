"""Contenders that need a process of their own: another library, another backend, other memory."""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


class Contender:
    """A function in a process of its own, called on request, whose time it returns.

    Args:
        file: a file of benchmarks/ that calls `answer` when it is run with the rest.
        arguments: the rest.
    """

    def __init__(self, file: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, file, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self) -> float:
        """Run the function once; return what it measured.

        Raises:
            RuntimeError: the process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it ended, which is seen below
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
        for said in self._process.stdout:
            if said.startswith("took "):
                return float(said.split()[1])
        raise RuntimeError(f"{self._process.args!r} ended without an answer")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()


def answer(measure: Callable[[], float]) -> None:
    """Measure whenever a line comes in, and print the result."""
    for _ in sys.stdin:
        print(f"\ntook {measure()}", flush=True)


def run_once(file: str | Path, *arguments: str) -> list[float]:
    """Return the numbers that a file of benchmarks/ prints as its last line, run in a process of its own."""
    done = subprocess.run([sys.executable, file, *arguments], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.splitlines()[-1].split()]
