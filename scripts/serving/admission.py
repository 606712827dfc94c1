"""Which requests are taken on, and for how long: too many, too slow ones, and those whose client has left."""

import asyncio
from contextlib import suppress

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import answer_error

RETRY_S = 1  # seconds after which a client may ask again


class Admission:
    """Middleware that bounds the number and the time of requests with a body, and ends those whose client has left.

    Args:
        app: the application.
        max_requests: largest number of requests that are received or predicted at the same time; others are answered
            503. Requests without a body, as of `/health`, do not count.
        answer_s: seconds until the answer, from the end of the body on; then the answer is 504.
    """

    def __init__(self, app: ASGIApp, *, max_requests: int, answer_s: float) -> None:
        self.app = app
        self.max_requests = max_requests
        self.answer_s = answer_s
        self.num_requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer why not."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        if self.num_requests >= self.max_requests:
            answer = answer_error(
                503,
                f"the server is busy with {self.num_requests:,} requests: try again in {RETRY_S} s",
                {"Retry-After": str(RETRY_S)},
            )
            await answer(scope, receive, send)
            return
        self.num_requests += 1
        try:
            await self._run(scope, receive, send)
        finally:
            self.num_requests -= 1

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        received, started = asyncio.Event(), False

        async def watched() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                received.set()
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        answering = asyncio.create_task(self._answer(scope, watched, noted))
        watching = asyncio.create_task(self._watch(received, receive))
        try:
            await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done() and not answering.done() and not started:
                answering.cancel()  # what waits for a batch is left out of it
                await asyncio.wait({answering})
                if watching.result():
                    answer = answer_error(
                        504,
                        f"no answer within {self.answer_s:g} seconds: send fewer inputs at once, or try again",
                        {"Retry-After": str(RETRY_S)},
                    )
                    await answer(scope, receive, send)
            await answering
        except asyncio.CancelledError:
            if not answering.cancelled():
                raise
        finally:
            watching.cancel()
            answering.cancel()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientDisconnect):  # while its body was read: nobody waits for an answer
            await self.app(scope, receive, send)

    async def _watch(self, received: asyncio.Event, receive: Receive) -> bool:
        """Wait from the end of the body on; return True when the time is over, False when the client has left."""
        await received.wait()
        try:
            while (await asyncio.wait_for(receive(), self.answer_s))["type"] != "http.disconnect":
                pass
        except asyncio.TimeoutError:
            return True
        return False
