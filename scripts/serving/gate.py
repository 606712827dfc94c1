"""The door of the server: it answers before the models are loaded, and lets them be replaced without a lost request."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from .errors import answer_error

if TYPE_CHECKING:  # as they import torch
    from .models import Models, ServedModel

RETRY_S = 1  # when a client may ask again while the models are being loaded


class Generation:
    """An application with the models it answers with, and the number of requests that use it."""

    def __init__(self, app: FastAPI, models: "Models") -> None:
        self.app = app
        self.models = models
        self.num_users = 0
        self.unused = asyncio.Event()
        self._running = app.router.lifespan_context(app)

    async def start(self) -> None:
        """Start the application and its models."""
        await self._running.__aenter__()

    async def stop(self) -> None:
        """Stop what no other application uses; all requests must have been answered."""
        await self._running.__aexit__(None, None, None)


class Gate:
    """Pass requests on to an application, whose models are loaded after the server has started.

    Before, `/health` answers, and all else is a 503. Where a model is replaced, an application is built anew around the
    models: requests that have begun are answered by the one before.

    Args:
        load: loads the models; called in a thread.
        build: builds the application of the models.
        loaded: called when the models are loaded, or with the exception that loading raised.
        early: whether to answer before the models are loaded; else no connection is taken until then.

    Attributes:
        is_stopping: whether the server is about to end, so that `/ready` is a 503 while requests are still answered.
    """

    def __init__(
        self,
        load: "Callable[[], Models]",
        build: "Callable[[Models], FastAPI]",
        loaded: Callable[[Exception | None], None],
        *,
        early: bool = True,
    ) -> None:
        self.load = load
        self.build = build
        self.loaded = loaded
        self.early = early
        self.is_stopping = False
        self._current: Generation | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            return await self._live(receive, send)
        current, path = self._current, scope["path"].removeprefix(scope.get("root_path", ""))
        if current is None or (self.is_stopping and path == "/ready"):
            return await self._answer_alone(path)(scope, receive, send)
        current.num_users += 1
        try:
            await current.app(scope, receive, send)
        finally:
            current.num_users -= 1
            if not current.num_users and current is not self._current:
                current.unused.set()

    def _answer_alone(self, path: str) -> JSONResponse:
        state = "stopping" if self.is_stopping else "loading"
        if path == "/health":
            return JSONResponse({"status": "ok"})
        if path == "/ready":
            return JSONResponse({"status": state}, 503, {"Retry-After": str(RETRY_S)})
        detail = "the model is being loaded: ask again in a moment; /ready tells when"
        return answer_error(503, detail, {"Retry-After": str(RETRY_S)})

    async def replace(self, model: "ServedModel") -> Generation:
        """Replace the model of the same name for requests from now on; return what was before, to be drained."""
        old = self._current
        assert old is not None
        self._current = await self._start(old.models.replacing(model))
        return old

    async def drain(self, old: Generation) -> None:
        """Wait for the last request to what was replaced, then stop it."""
        if old.num_users:
            await old.unused.wait()
        await old.stop()

    async def _start(self, models: "Models") -> Generation:
        generation = Generation(self.build(models), models)
        await generation.start()
        return generation

    async def _live(self, receive: Receive, send: Send) -> None:
        """Load the models when the server starts, and stop them after its last request."""
        await receive()
        loading = asyncio.create_task(self._load())
        if not self.early:
            await loading
            if self._current is None:
                await send({"type": "lifespan.startup.failed", "message": ""})
                return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await loading
        if self._current is not None:
            await self._current.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _load(self) -> None:
        try:
            self._current = await self._start(await asyncio.to_thread(self.load))
        except Exception as error:
            self.loaded(error)
        else:
            self.loaded(None)
