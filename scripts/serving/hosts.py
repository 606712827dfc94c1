"""Which names a server answers to, against DNS rebinding.

A page of any site can give its own name the address of this machine, and then read what a server here answers: the
browser takes both for one site. Only the header `Host` tells, as it holds that name.
"""

import ipaddress
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from lightfit.errors import UsageError, clip, clip_list

from .errors import answer_error

ANY = "*"


def choose_hosts(host: str, names: str, *, machine: str) -> tuple[str, ...]:
    """Return the names that a server answers to, beside every address in numbers.

    Args:
        host: address or name to listen on.
        names: names with commas between them, `*.name` for all below a name, `*` for any; empty: `localhost`, the name
            to listen on, and, if other machines can connect, the name of this one.
        machine: name of this machine.

    Raises:
        UsageError: a name is none.
    """
    if not names:
        own = ("localhost",) if is_loopback(host) else ("localhost", machine.lower())
        return tuple(dict.fromkeys((*own, *(() if _is_address(host) else (host.lower(),)))))
    chosen = tuple(name.strip().lower() for name in names.split(",") if name.strip())
    for name in chosen:
        bad = name != ANY and ("*" in name.removeprefix("*.") or any(char in name for char in " /:@"))
        if bad or not name:
            raise UsageError(
                f"expected --allowed_hosts as names such as model.example.com or *.example.com, without http:// and "
                f"port, or * for any, received '{clip(name)}'"
            )
    return ("localhost", *chosen)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to an address or name."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


class TrustedHosts:
    """Middleware that answers 400 to a request for a name that is not one of the server's.

    An address in numbers is always one: it cannot be another site's name.

    Args:
        app: the application.
        hosts: names, as returned by `choose_hosts`.
    """

    def __init__(self, app: ASGIApp, *, hosts: Sequence[str]) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer that its host is none of the server's."""
        if scope["type"] == "http" and ANY not in self.hosts:
            for value in Headers(scope=scope).getlist("host"):
                if not self._is_known(_drop_port(value)):
                    answer = answer_error(
                        400,
                        f"this server does not answer to the name '{clip(_drop_port(value))}' but to "
                        f"{clip_list(self.hosts)} and its addresses: start it with --allowed_hosts and that name",
                    )
                    await answer(scope, receive, send)
                    return
        await self.app(scope, receive, send)

    def _is_known(self, name: str) -> bool:
        inner = name[1:-1] if name.startswith("[") and name.endswith("]") else name
        return _is_address(inner) or any(
            name == host or (host.startswith("*.") and name.endswith(host[1:])) for host in self.hosts
        )


def _drop_port(value: str) -> str:
    value = value.strip().lower()
    name, colon, port = value.rpartition(":")
    return (name if colon and (not port or port.isdecimal()) and not value.endswith("]") else value).removesuffix(".")
