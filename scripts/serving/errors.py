"""Answers to requests that fail: one form for all, `{"detail": "one sentence"}`."""

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lightfit.errors import clip

log = logging.getLogger(__name__)
CLIENT_LEFT = 499  # as nginx logs it; nobody receives it


def answer_error(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the answer to a request that fails; characters that no text can hold are replaced."""
    return JSONResponse({"detail": sentence.encode(errors="replace").decode()}, status, headers)


class AnswerFailures:
    """Middleware that answers 500 where the application fails, and logs the traceback.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            if scope["type"] != "http" or started:
                raise
            log.exception("%s %s failed", scope["method"], clip(scope["path"]))
            answer = answer_error(500, f"the server failed ({type(error).__name__}); its log says where")
            await answer(scope, receive, send)


def add_error_answers(app: FastAPI) -> None:
    """Have an application answer every error in one form, and say nothing to clients that have left."""
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = str(error.detail)
    if error.status_code == 404 and sentence == "Not Found":
        sentence = f"nothing at '{clip(request.url.path)}'; see /docs"
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        sentence = f"expected {allowed} at '{clip(request.url.path)}', received {clip(request.method)}; see /docs"
    return answer_error(error.status_code, sentence, error.headers)


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return answer_error(422, f"{place}: {first['msg']}, received {clip(first.get('input'))}")


async def _answer_nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_LEFT)
