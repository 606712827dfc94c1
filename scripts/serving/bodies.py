"""Bodies of requests: limits of size and time, and conversion to raw samples."""

import asyncio
import copy
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

from fastapi import HTTPException, Request
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException as StarletteHTTPException  # FastAPI's is one of its subclasses
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lightfit.datamodules.tables.options import TableOptions
from lightfit.errors import BadInput, DataError, NotFoundError, UsageError, clip

from ..inference.inputs.files import FileInputs
from ..inference.inputs.protocol import Inputs
from ..inference.pixel_limits import RequestTooLarge
from .errors import answer_error
from .limits import Limits
from .uploads import check_table

SUFFIXES = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "text/plain": ".txt",
    "application/jsonl": ".jsonl",
}
TYPES = f"application/json, multipart/form-data with files, image/*, application/octet-stream, {', '.join(SUFFIXES)}"
READERS = 4  # threads that read bodies; apart from those that predict, so that none waits for the other
CLOSE = {"Connection": "close"}  # what follows of the body is read by nobody
Made = TypeVar("Made")


class LimitBody:
    """Middleware that answers 413 to a body above the size limit, without reading all of it, and 408 to a slow one.

    Args:
        app: the application.
        max_bytes: largest size of a body, in bytes.
        body_s: seconds until the body has arrived.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, body_s: float) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the application while counting the bytes of its body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self.max_bytes:  # before the client sends it
            await answer_error(413, self._describe(), CLOSE)(scope, receive, send)
            return
        coding = headers.get("content-encoding", "identity").strip().lower()
        if coding != "identity":
            await answer_error(
                415,
                f"expected a body as it is, without Content-Encoding, received '{clip(coding)}': unpack it first",
                {"Accept-Encoding": "identity", **CLOSE},
            )(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        num_bytes, end, complete = 0, loop.time() + self.body_s, False

        async def counted() -> Message:
            nonlocal num_bytes, complete
            try:
                message = await (receive() if complete else asyncio.wait_for(receive(), max(end - loop.time(), 0)))
            except asyncio.TimeoutError as error:
                complete = True
                raise HTTPException(
                    408,
                    f"the body of the request was not complete within {self.body_s:g} seconds: send fewer inputs at "
                    "once",
                    CLOSE,
                ) from error
            complete = complete or not message.get("more_body", False)
            num_bytes += len(message.get("body", b""))
            if num_bytes > self.max_bytes:
                raise HTTPException(413, self._describe(), CLOSE)
            return message

        await self.app(scope, counted, send)

    def _describe(self) -> str:
        return f"the request exceeds the limit of {self.max_bytes:,} bytes: send fewer inputs at once"


class BodyReader:
    """Read the raw samples of requests, in threads of their own, within limits.

    Args:
        limits: limits of requests.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._threads = ThreadPoolExecutor(READERS, "reading")

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def in_thread(self, function: Callable[..., Made], *args: Any) -> Made:
        """Call a function in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def read(self, request: Request, inputs: Inputs) -> list[Any]:
        """Return the raw samples of a request, with `BadInput` in place of a bad one.

        The body is JSON, a form with uploads, or a file.

        Args:
            request: the request.
            inputs: the reader of the model's inputs.

        Raises:
            HTTPException: the request is invalid; status 4xx, with a message.
        """
        inputs = copy.copy(inputs.for_request())
        if isinstance(options := getattr(inputs, "options", None), TableOptions):
            inputs.options = replace(options, max_columns=self.limits.max_columns)  # type: ignore[attr-defined]
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        try:
            if kind == "application/json":
                samples = await self.in_thread(self._read_json, inputs, await request.body())
            elif kind == "multipart/form-data":
                samples = await self._read_form(request, inputs)
            elif kind.startswith("image/") or kind in SUFFIXES or kind == "application/octet-stream":
                name = f"body{SUFFIXES.get(kind, '')}"
                samples = await self.in_thread(self._read_file, inputs, name, await request.body())
            else:
                raise HTTPException(415, f"expected content-type {TYPES}, received '{clip(kind)}'")
        except RequestTooLarge as error:
            raise HTTPException(413, str(error)) from error
        except (DataError, NotFoundError, UsageError) as error:
            raise HTTPException(422, str(error)) from error
        if all(isinstance(sample, BadInput) for sample in samples):
            raise HTTPException(422, samples[0].problem if samples else "expected at least one input, received none")
        return samples

    def _read_json(self, inputs: Inputs, body: bytes) -> list[Any]:
        held = parse_json(body, whole_texts=not _are_texts(inputs))
        for value in held.values():
            if isinstance(value, list) and not _is_table(value):
                self._check_number(len(value))
        return self._check(inputs.from_json(held))

    def _read_file(self, inputs: Inputs, name: str, content: bytes) -> list[Any]:
        if not isinstance(inputs, FileInputs):
            check_table(name, content, self.limits, of_texts=_are_texts(inputs))
        return self._check(inputs.from_upload(name, content))

    async def _read_form(self, request: Request, inputs: Inputs) -> list[Any]:
        samples: list[Any] = []
        try:
            form = await request.form(max_files=self.limits.max_parts, max_fields=self.limits.max_parts)
        except StarletteHTTPException as error:
            if error.status_code == 400 and str(error.detail).startswith("Too many"):
                raise HTTPException(
                    413, f"the form has more than {self.limits.max_parts:,} parts: send several requests", CLOSE
                ) from error
            raise HTTPException(400, f"the body is not a form that can be read: {error.detail}") from error
        except (ValueError, KeyError, LookupError) as error:
            raise HTTPException(400, f"the body is not a form that can be read: {clip(str(error))}") from error
        try:
            files = [item for _, item in form.multi_items() if isinstance(item, UploadFile)]
            for file in files:
                content = await file.read()
                name = clip(file.filename or "the upload", 200)
                samples += await self.in_thread(self._read_file, inputs, name, content)
                self._check_number(len(samples))
        finally:
            await form.close()
        if not files:
            raise HTTPException(422, "expected at least one file in the form, under any name, received none")
        return samples

    def _check(self, samples: list[Any]) -> list[Any]:
        """Return samples, with a problem in place of a text that is too long."""
        self._check_number(len(samples))
        most = self.limits.max_text_chars
        return [
            BadInput(f"text {number}: {len(sample):,} characters, more than the limit of {most:,}: send parts of it")
            if isinstance(sample, str) and len(sample) > most
            else sample
            for number, sample in enumerate(samples, 1)
        ]

    def _check_number(self, number: int) -> None:
        if number > self.limits.max_inputs:
            raise RequestTooLarge(
                f"expected at most {self.limits.max_inputs:,} inputs in a request, received {number:,}: send several "
                "requests"
            )


def _is_table(value: list[Any]) -> bool:
    return bool(value) and isinstance(value[0], dict)


def _are_texts(inputs: Inputs) -> bool:
    return isinstance(getattr(inputs, "options", None), TableOptions) and not hasattr(inputs, "codec")


def parse_json(body: bytes, *, whole_texts: bool) -> dict[str, Any]:
    """Return the object of a body; its numbers are finite, and its keys are different.

    Args:
        body: the body, in UTF-8, UTF-16 or UTF-32.
        whole_texts: whether half a character in a text is refused here, and not by the reader of each text.

    Raises:
        HTTPException: it is not JSON (400), or no object or ambiguous (422).
    """
    try:
        held = json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_refuse_twice)
    except RecursionError as error:
        raise HTTPException(400, "the body is not JSON that can be read: it is nested too deeply") from error
    except ValueError as error:
        why = str(error)
        if "integer string conversion" in why:
            why = "a number has more than 4,300 digits"
        raise HTTPException(400, f"the body is not JSON: {clip(why, 200)}") from error
    if not isinstance(held, dict):
        raise HTTPException(422, f"expected a JSON object, received {type(held).__name__}; see /docs")
    if whole_texts and b"u" in body:
        try:
            json.dumps(held, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = ord(error.object[error.start])
            raise HTTPException(422, f"a text holds half a character, {half:#x}: expected whole ones") from error
    return held


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is none of its numbers; write null where a value is missing")


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise HTTPException(422, f"the key '{clip(twice)}' occurs twice in an object: which value is meant?")
    return held
