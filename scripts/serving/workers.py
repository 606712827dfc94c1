"""Several processes of the server on one socket, and the process that watches over them."""

import os
import signal
import socket
import sys
import tempfile
import threading
import time
from multiprocessing import connection, get_context
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from lightfit.errors import FAILED, SIGNALLED
from lightfit.platforms import count_processors, wait_for_parent

from ..cli.exit_codes import exit_code
from ..cli.quiet import hush
from .settings import Settings

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
STARTS_S = 1.0  # before a worker is started again that died within this time


def supervise(settings: Settings, listening: socket.socket, num_workers: int, ready: Any) -> int:
    """Run workers until a signal, start those again that die, and return the exit code.

    Where the first one ends before it is ready, so does the server: a checkpoint cannot be loaded, as it has said.

    Args:
        settings: the settings of each.
        listening: a bound socket, from which all accept.
        num_workers: number of them.
        ready: called when the first one is ready.
    """
    context = get_context("spawn")  # as torch's threads do not survive a fork
    with tempfile.TemporaryDirectory(prefix="lightfit-metrics-") as folder:
        os.environ[FOLDER] = folder
        is_ready = context.Event()

        def start() -> SpawnProcess:
            worker = context.Process(target=work, args=(settings, listening, is_ready, num_workers))
            worker.start()
            return worker

        stopping = _Signals()
        workers = {start(): time.monotonic()}  # alone, so that what cannot be loaded is told of once
        told, code = False, 0
        try:
            while not stopping.received:
                if not told and is_ready.is_set():
                    told = True
                    ready()
                    workers |= {start(): time.monotonic() for _ in range(num_workers - 1)}
                ended = connection.wait([worker.sentinel for worker in workers], 0.2)
                for worker in [worker for worker in workers if worker.sentinel in ended]:
                    worker.join()
                    started = workers.pop(worker)
                    if stopping.received:
                        break
                    if not is_ready.is_set():
                        code = worker.exitcode if worker.exitcode and worker.exitcode > 0 else FAILED
                        stopping.received = signal.SIGTERM
                        break
                    _forget(Path(folder), worker.pid)
                    print(f"worker {worker.pid} ended ({worker.exitcode}): another one is started", file=sys.stderr)
                    time.sleep(max(0, started + STARTS_S - time.monotonic()))
                    workers[start()] = time.monotonic()
        finally:
            for worker in workers:
                worker.terminate()
            end = time.monotonic() + settings.drain_s + settings.stop_s + 5
            for worker in workers:
                worker.join(max(0, end - time.monotonic()))
                worker.kill()
                worker.join()
            os.environ.pop(FOLDER, None)
        return code or SIGNALLED + stopping.received


class _Signals:
    """Note the first signal to stop."""

    def __init__(self) -> None:
        self.received = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: Any) -> None:
        self.received = self.received or number


def work(settings: Settings, listening: socket.socket, is_ready: Any, num_workers: int) -> None:
    """Run a worker; it ends with its parent."""
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    code = exit_code(lambda: _run(settings, listening, is_ready, num_workers), debug=settings.debug)
    sys.stdout.flush()
    os._exit(code)  # at once: torch's threads have nothing to finish


def _run(settings: Settings, listening: socket.socket, is_ready: Any, num_workers: int) -> None:
    import torch

    from .server import run

    hush()
    # Each worker would otherwise use all processors.
    torch.set_num_threads(max(1, min(torch.get_num_threads(), count_processors() // num_workers)))
    # Another worker answers while this one loads.
    run(settings, listening, is_ready.set, early=not is_ready.is_set())


def _end_with_parent(parent: int) -> None:
    wait_for_parent(parent)
    os.kill(os.getpid(), signal.SIGTERM)  # it finishes its requests


def _forget(folder: Path, pid: int | None) -> None:
    from .metrics import forget_worker

    if pid is not None:
        forget_worker(folder, pid)
