"""What a process of the server needs to know."""

from collections.abc import Sequence
from typing import NamedTuple

from .limits import Limits
from .sources import Source


class Settings(NamedTuple):
    """The settings of a process of the server.

    Args:
        sources: the models, the first one is the default.
        trust: packages whose classes a checkpoint may name.
        gpus: which devices predict, as in `choose_devices`.
        limits: limits of batches and requests.
        hosts: names that the server answers to.
        token: as in `Operations`.
        root_path: as in `Operations`.
        log: file for a line of each request, `-` for standard output; empty: none.
        reload_s: seconds between two looks for changed checkpoints; 0: they are never looked for.
        drain_s: seconds from the signal to stop until no more connections are taken; `/ready` is a 503 meanwhile.
        stop_s: seconds from then to finish the requests in flight.
        debug: whether to log what uvicorn does.
    """

    sources: Sequence[Source]
    trust: Sequence[str]
    gpus: str
    limits: Limits
    hosts: Sequence[str]
    token: str = ""
    root_path: str = ""
    log: str = ""
    reload_s: float = 0
    drain_s: float = 0
    stop_s: int = 30
    debug: bool = False
