"""Headers by which a browser protects the user of the server's pages."""

import base64
import hashlib
import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = {  # what a page may load: its own files, and pictures that it draws itself
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "form-action": "'none'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
OWN_PAGES = ("/", "/docs")  # the same for every user, so that what is inline in them may run
_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.+?)</script>", re.DOTALL)


class SecurityHeaders:
    """Middleware that adds the headers to every answer.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add headers to its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        held: list[Message] = []

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if path in OWN_PAGES and message["status"] == 200:
                    held.append(message)  # until its scripts are known
                    return
                headers.setdefault("Content-Security-Policy", write_policy())
            elif held:
                held.append(message)
                if message.get("more_body"):
                    return
                page = b"".join(part.get("body", b"") for part in held[1:])
                MutableHeaders(scope=held[0]).setdefault("Content-Security-Policy", write_policy(page))
                for part in held:
                    await send(part)
                held.clear()
                return
            await send(message)

        await self.app(scope, receive, with_headers)


def write_policy(page: bytes = b"") -> str:
    """Return the policy of a page; scripts that are written in it are allowed by their hash, and so are its styles."""
    policy = dict(POLICY)
    for script in _SCRIPT.findall(page):
        digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
        policy["script-src"] += f" 'sha256-{digest}'"
    if b"<style" in page or b"swagger-ui" in page:  # which adds styles as it runs
        policy["style-src"] += " 'unsafe-inline'"
    return "; ".join(f"{name} {value}" for name, value in policy.items())
