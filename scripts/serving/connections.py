"""Connections of slow clients: time limits that uvicorn does not have, for headers and for reading an answer."""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

MAX_HEADER_BYTES = 2**16
PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}
LINGER_S = 5.0  # after an answer, for a client that is still sending what nobody reads


def limit_connections(header_s: float, write_s: float) -> type[asyncio.Protocol]:
    """Return the protocol of connections, for `uvicorn.Config(http=...)`.

    Args:
        header_s: seconds until the headers of a request are complete, from the connection or the first byte on.
        write_s: seconds that a client may read nothing of an answer.
    """

    class LimitedConnection(AutoHTTPProtocol):  # type: ignore[misc, valid-type] # h11's, or httptools' if installed
        """A connection that is closed when its client is too slow."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.header_timer: asyncio.TimerHandle | None = None
            self.write_timer: asyncio.TimerHandle | None = None
            self.header_bytes = 0
            self.expect_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            _cancel(self.header_timer)
            self.header_timer = None
            _cancel(self.write_timer)
            self.write_timer = None
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            before = self.cycle
            if waiting := before is None or before.response_complete:
                self.expect_headers()
                self.header_bytes += len(data)
            super().data_received(data)
            if self.cycle is not before:  # the headers are complete
                _cancel(self.header_timer)
                self.header_timer = None
                self.header_bytes = 0
            elif waiting and self.header_bytes > MAX_HEADER_BYTES and not self.is_sending_body():
                self.refuse_headers()

        def is_sending_body(self) -> bool:
            """Return whether a body arrives that nobody reads, as its request has been answered."""
            return self.cycle is not None and self.cycle.more_body

        def expect_headers(self) -> None:
            """Start the clock for the headers of a request, unless it runs."""
            if self.header_timer is None and not self.is_sending_body():
                self.header_timer = self.loop.call_later(header_s, self.give_up_headers)

        def give_up_headers(self) -> None:
            """Answer that the headers took too long; a client that has sent nothing gets no answer."""
            self.header_timer = None
            if self.header_bytes:
                self.refuse(408, f"the headers of the request were not complete within {header_s:g} seconds")
            else:
                self.transport.close()

        def send_400_response(self, msg: str) -> None:
            if self.header_bytes > MAX_HEADER_BYTES:  # which h11 calls an error before `data_received` returns
                self.refuse_headers()
            else:
                self.refuse(400, "this is not an HTTP request that can be read")

        def refuse_headers(self) -> None:
            """Answer that the headers are too large."""
            self.refuse(431, f"the headers have more than {MAX_HEADER_BYTES:,} bytes: send fewer")

        def refuse(self, status: int, sentence: str) -> None:
            """Close the connection, with an answer unless another one is on its way."""
            if not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete):
                self.transport.write(_write_answer(status, sentence))
            self.close_soon()

        def close_soon(self) -> None:
            """Close the connection when what was written has been read, or the time for it is over."""
            self.transport.close()
            if self.write_timer is None and self.transport.get_write_buffer_size():
                self.write_timer = self.loop.call_later(write_s, self.transport.abort)

        def pause_writing(self) -> None:
            super().pause_writing()
            if self.write_timer is None:
                self.write_timer = self.loop.call_later(write_s, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if not self.transport.is_closing():
                _cancel(self.write_timer)
                self.write_timer = None

        def on_response_complete(self) -> None:
            cycle = self.cycle
            self.header_bytes = 0
            super().on_response_complete()
            if self.transport.is_closing():
                self.close_soon()
            elif cycle is not None and cycle.more_body:
                self.loop.call_later(LINGER_S, self.stop_lingering, cycle)

        def stop_lingering(self, cycle: Any) -> None:
            """Close the connection if the client still sends the body of a request that has been answered."""
            if self.cycle is cycle and cycle.more_body:
                self.close_soon()

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self.close_soon()

    return LimitedConnection


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _write_answer(status: int, sentence: str) -> bytes:
    body = json.dumps({"detail": sentence}).encode()
    head = f"HTTP/1.1 {status} {PHRASES[status]}\r\ncontent-type: application/json\r\nconnection: close\r\n"
    return f"{head}content-length: {len(body)}\r\nx-content-type-options: nosniff\r\n\r\n".encode() + body
