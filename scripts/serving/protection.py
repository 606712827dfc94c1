"""What stands around the whole server, whoever of it answers."""

from collections.abc import Sequence

from starlette.types import ASGIApp

from .head import AnswerHead
from .headers import SecurityHeaders
from .trusted_hosts import TrustedHosts


def protect(app: ASGIApp, hosts: Sequence[str]) -> ASGIApp:
    """Return an application that answers to its own names alone, with headers for browsers, and HEAD as GET.

    Args:
        app: the application.
        hosts: names that the server answers to, as returned by `choose_hosts`.
    """
    return AnswerHead(SecurityHeaders(TrustedHosts(app, hosts=hosts)))
