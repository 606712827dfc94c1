"""Processes that make batches."""

import os
import signal
from typing import Any


def outlive_signals(worker: int) -> None:
    """Lets a worker go on after a first signal to end, which often goes to all processes: the training step needs it.

    A second one ends it, and so does the end of the process that it works for.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_next_time)


def _end_next_time(number: int, frame: Any) -> None:
    signal.signal(number, lambda number, _: os._exit(128 + number))
