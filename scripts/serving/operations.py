"""What operators of the server expect: request ids, a log of requests, a token, metrics, an address behind a proxy."""

import hmac
import json
import re
import sys
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, TextIO

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import CLIENT_LEFT, answer_error
from .metrics import Metrics

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")  # of a client; no other is repeated in logs and headers
OPEN = ("/", "/health", "/ready")  # without a token: they tell nothing of the model
OPEN_FOLDERS = ("/static/",)
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class RequestLog:
    """Write a line of JSON for each request.

    Args:
        path: the file to append to; `-` for standard output.
    """

    def __init__(self, path: str) -> None:
        # Open for as long as the server runs.
        self._file: TextIO = sys.stdout if path == "-" else open(path, "a", encoding="utf-8")  # noqa: SIM115

    def write(self, entry: dict[str, Any]) -> None:
        """Write an entry with the time; one write, so that lines of several processes do not mix."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        self._file.write(json.dumps({"time": now, **entry}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not sys.stdout:
            self._file.close()


class Operations:
    """Middleware around the server.

    Every answer gets an `X-Request-ID`: the client's, if it is up to 128 letters, digits and `._:-`, else a new one.
    Answers of a model get its `X-Model-Version`. `/metrics` is answered here.

    Args:
        app: the application.
        metrics: counts the requests.
        token: what `Authorization: Bearer` must hold, in all requests but those of `OPEN`; empty: nothing.
        root_path: the path at which a proxy shows the server, such as `/imdb`; whether the proxy removes it or not.
        log: gets an entry for each request.
    """

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, token: str = "", root_path: str = "", log: RequestLog | None = None
    ) -> None:
        self.app = app
        self.metrics = metrics
        self.token = token.encode()
        self.root_path = root_path
        self.log = log
        self._counters: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started = time.perf_counter()
        path = self._find_path(scope)
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        scope["request_id"] = request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        status, num_bytes = CLIENT_LEFT, 0

        async def sending(message: Message) -> None:
            nonlocal status, num_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                answered["X-Request-ID"] = request_id
                if (model := scope.get("model")) is not None:
                    answered["X-Model-Version"] = model.version
            else:
                num_bytes += len(message.get("body", b""))
            await send(message)

        self.metrics.in_flight.inc()
        try:
            answer = self._answer(path, headers)
            await (self.app if answer is None else answer)(scope, receive, sending)
        except Exception:
            status = 500 if status == CLIENT_LEFT else status
            raise
        finally:
            self.metrics.in_flight.dec()
            seconds = time.perf_counter() - started
            self._count(scope, path, status, seconds)
            if self.log is not None:
                self._log(scope, path, status, seconds, num_bytes, headers)

    def _find_path(self, scope: Scope) -> str:
        """Return the path below the root; set it in the scope as frameworks expect it, after the root path."""
        path = str(scope["path"])
        if root := self.root_path:
            if path == root or path.startswith(f"{root}/"):
                path = path[len(root) :]
            scope["root_path"], scope["path"] = root, root + path
        return path

    def _answer(self, path: str, headers: Headers) -> Response | None:
        """Return the answer of a request that the application does not answer."""
        if not path:
            return RedirectResponse(f"{self.root_path}/")
        if self.token and path not in OPEN and not path.startswith(OPEN_FOLDERS):
            scheme, _, token = headers.get("authorization", "").partition(" ")
            is_right = hmac.compare_digest(token.strip().encode("utf-8", "replace"), self.token)
            if scheme.lower() != "bearer" or not is_right:
                detail = "expected the server's token in the header Authorization: Bearer TOKEN, received "
                return answer_error(401, detail + ("another one" if token else "none"), {"WWW-Authenticate": "Bearer"})
        if path == "/metrics":
            return Response(self.metrics.write(), media_type=METRICS_TYPE)
        return None

    def _count(self, scope: Scope, path: str, status: int, seconds: float) -> None:
        route = scope.get("route")
        # Not the path itself where there is no route: anybody could make as many time series as there are paths.
        template = getattr(route, "path", None) or (path if path in ("/health", "/ready", "/metrics") else "other")
        key = scope["method"] if scope["method"] in METHODS else "other", template, status
        if key not in self._counters:
            requests = self.metrics.requests.labels(key[0], template, str(status))
            self._counters[key] = requests.inc, self.metrics.seconds.labels(template).observe
        count, observe = self._counters[key]
        count()
        observe(seconds)

    def _log(self, scope: Scope, path: str, status: int, seconds: float, num_bytes: int, headers: Headers) -> None:
        assert self.log is not None
        model = scope.get("model")
        self.log.write(
            {
                "request_id": scope["request_id"],
                "client": (scope.get("client") or [None])[0],
                "method": scope["method"],
                "path": path,
                "status": status,
                "ms": round(1000 * seconds, 2),
                "bytes_received": int(length) if (length := headers.get("content-length", "")).isdecimal() else None,
                "bytes_sent": num_bytes,
                "model": model and model.name,
                "model_version": model and model.version,
            }
        )


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
