"""The body of a request, no larger than allowed, to raw samples."""

import asyncio
import json
from typing import Any

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lightfit.errors import BadInput, DataError

from ..inference.inputs.protocol import Inputs

ENDINGS = {"text/csv": ".csv", "text/tab-separated-values": ".tsv", "text/plain": ".txt", "application/jsonl": ".jsonl"}


class LimitBody:
    """Answers 413 to a body that is larger than allowed, without reading it to its end.

    Args:
        app: the application.
        max_bytes: the most bytes of a body.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, with its body counted."""
        num_bytes = 0

        async def counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > self.max_bytes:
                raise HTTPException(413, f"the request is larger than the {self.max_bytes:,} bytes that are taken")
            return message

        await self.app(scope, counted, send)


async def read_samples(request: Request, inputs: Inputs, max_inputs: int) -> list[Any]:
    """The raw samples of a request: JSON, an upload by a form, or a file as the body itself; `BadInput` for a bad one.

    Raises:
        HTTPException: 4xx, with a sentence.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    try:  # in threads: to decode a large image would hold up all other requests
        if kind == "application/json":
            body = await request.body()
            samples = await asyncio.to_thread(lambda: inputs.from_json(_json(body)))
        elif kind == "multipart/form-data":
            samples = await _uploads(request, inputs)
        elif kind.startswith("image/") or kind in ENDINGS or kind == "application/octet-stream":
            body = await request.body()
            samples = await asyncio.to_thread(inputs.from_upload, f"body{ENDINGS.get(kind, '')}", body)
        else:
            raise HTTPException(
                415,
                f"content-type '{kind}' is not taken: expected application/json, multipart/form-data with files, "
                f"image/* or one of {', '.join(ENDINGS)}",
            )
    except DataError as error:
        raise HTTPException(422, str(error)) from error
    if len(samples) > max_inputs:
        raise HTTPException(
            413, f"{len(samples):,} inputs in a request; at most {max_inputs:,} are taken: send them in parts"
        )
    if all(isinstance(sample, BadInput) for sample in samples):
        raise HTTPException(422, samples[0].problem if samples else "the request holds no input")
    return samples


def _json(body: bytes) -> dict[str, Any]:
    try:
        held = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error
    if not isinstance(held, dict):
        raise HTTPException(422, f"expected a JSON object, received {type(held).__name__}; see /docs")
    return held


async def _uploads(request: Request, inputs: Inputs) -> list[Any]:
    samples: list[Any] = []
    async with request.form() as form:
        files = [item for _, item in form.multi_items() if isinstance(item, UploadFile)]
        for file in files:
            content = await file.read()
            samples += await asyncio.to_thread(inputs.from_upload, file.filename or "the upload", content)
    if not files:
        raise HTTPException(422, "the form holds no file: expected at least one, under any name")
    return samples
