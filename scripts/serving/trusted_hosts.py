"""Refusal of requests for other names than the server's."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from lightfit.errors import clip, clip_list

from .errors import answer_error
from .hosts import drop_port, is_known


class TrustedHosts:
    """Middleware that answers 400 to a request for a name that is not one of the server's.

    Args:
        app: the application.
        hosts: names, as returned by `choose_hosts`.
    """

    def __init__(self, app: ASGIApp, *, hosts: Sequence[str]) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer that its host is none of the server's."""
        if scope["type"] == "http":
            for value in Headers(scope=scope).getlist("host"):
                if not is_known(value, self.hosts):
                    answer = answer_error(
                        400,
                        f"this server does not answer to the name '{clip(drop_port(value))}' but to "
                        f"{clip_list(self.hosts)} and its addresses: start it with --allowed_hosts and that name",
                    )
                    await answer(scope, receive, send)
                    return
        await self.app(scope, receive, send)
