"""Bodies of requests: size limit, and conversion to raw samples."""

import asyncio
import json
from typing import Any

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lightfit.errors import BadInput, DataError

from ..inference.inputs.protocol import Inputs
from ..inference.pixel_limits import RequestTooLarge

SUFFIXES = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "text/plain": ".txt",
    "application/jsonl": ".jsonl",
}


class LimitBody:
    """Middleware that answers 413 to a body above the size limit, without reading all of it.

    Args:
        app: the application.
        max_bytes: largest size of a body, in bytes.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the application while counting the bytes of its body."""
        num_bytes = 0

        async def counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > self.max_bytes:
                raise HTTPException(
                    413, f"the request exceeds the limit of {self.max_bytes:,} bytes: send fewer inputs at once"
                )
            return message

        await self.app(scope, counted, send)


async def read_samples(request: Request, inputs: Inputs, max_inputs: int) -> list[Any]:
    """Return the raw samples of a request, with `BadInput` in place of a bad one.

    The body is JSON, a form with uploads, or a file.

    Raises:
        HTTPException: the request is invalid; status 4xx, with a message.
    """
    inputs = inputs.for_request()
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    try:  # in threads, as decoding a large image would block all other requests
        if kind == "application/json":
            body = await request.body()
            samples = await asyncio.to_thread(lambda: inputs.from_json(_json(body)))
        elif kind == "multipart/form-data":
            samples = await _uploads(request, inputs)
        elif kind.startswith("image/") or kind in SUFFIXES or kind == "application/octet-stream":
            body = await request.body()
            samples = await asyncio.to_thread(inputs.from_upload, f"body{SUFFIXES.get(kind, '')}", body)
        else:
            raise HTTPException(
                415,
                f"expected content-type application/json, multipart/form-data with files, image/* or one of "
                f"{', '.join(SUFFIXES)}, received '{kind}'",
            )
    except RequestTooLarge as error:
        raise HTTPException(413, str(error)) from error
    except DataError as error:
        raise HTTPException(422, str(error)) from error
    if len(samples) > max_inputs:
        raise HTTPException(
            413,
            f"expected at most {max_inputs:,} inputs in a request, received {len(samples):,}: send several requests",
        )
    if all(isinstance(sample, BadInput) for sample in samples):
        raise HTTPException(422, samples[0].problem if samples else "expected at least one input, received none")
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
        raise HTTPException(422, "expected at least one file in the form, under any name, received none")
    return samples
