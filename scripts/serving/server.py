"""A process of the server: it loads the models, answers until it is told to stop, and then answers what has begun."""

import asyncio
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI

from .connections import limit_connections
from .gate import Gate
from .metrics import Metrics
from .operations import Operations, RequestLog
from .protection import protect
from .settings import Settings

if TYPE_CHECKING:
    from .models import Models
    from .reloading import Loader


class Server(uvicorn.Server):
    """A server that says it is no longer ready before it stops."""

    def __init__(self, config: uvicorn.Config, gate: Gate, drain_s: float) -> None:
        super().__init__(config)
        self.gate = gate
        self.drain_s = drain_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, after a signal: at once at a second one."""
        first, self.gate.is_stopping = not self.gate.is_stopping, True
        if first and self.drain_s:
            timer = threading.Timer(self.drain_s, super().handle_exit, (sig, frame))
            timer.daemon = True
            timer.start()
        else:
            super().handle_exit(sig, frame)


def run(settings: Settings, listening: socket.socket, ready: Callable[[], None], *, early: bool = True) -> None:
    """Answer requests until a signal.

    Args:
        settings: the settings.
        listening: a bound socket.
        ready: called when the models are loaded.
        early: as in `Gate`.

    Raises:
        Exception: a model cannot be loaded.
    """
    metrics = Metrics()
    loaders: list[Loader] = []
    failures: list[Exception] = []
    tasks: list[asyncio.Task[None]] = []

    def load() -> "Models":
        from .reloading import Loader  # imports torch: /health answers before

        loader = Loader(
            trust=settings.trust,
            gpus=settings.gpus,
            limits=settings.limits,
            metrics=metrics,
            newest=bool(settings.reload_s),
        )
        loaders.append(loader)
        return loader.load_all(settings.sources)

    def build(models: "Models") -> FastAPI:
        from .app import make_app

        return make_app(models, settings.limits)

    def loaded(error: Exception | None) -> None:
        if error is not None:
            failures.append(error)
            server.should_exit = True
            return
        ready()
        if settings.reload_s:
            from .reloading import keep_reloading

            tasks.append(asyncio.create_task(keep_reloading(gate, loaders[0], settings.sources, settings.reload_s)))

    gate = Gate(load, build, loaded, early=early)
    log = RequestLog(settings.log) if settings.log else None
    app = Operations(gate, metrics=metrics, token=settings.token, root_path=settings.root_path, log=log)
    config = uvicorn.Config(
        protect(app, settings.hosts),
        http=limit_connections(settings.limits.header_s, settings.limits.answer_s),
        ws="none",
        lifespan="on",
        log_level="info" if settings.debug else "warning",
        timeout_graceful_shutdown=settings.stop_s,
    )
    server = Server(config, gate, settings.drain_s)
    listening.listen(2048)  # before the models are loaded: /health answers from now on
    server.run(sockets=[listening])
    if log is not None:
        log.close()
    if failures:
        raise failures[0]
