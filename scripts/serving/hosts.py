"""Which names a server answers to, against DNS rebinding.

A page of any site can give its own name the address of this machine, and then read what a server here answers: the
browser takes both for one site. Only the header `Host` tells, as it holds that name.
"""

import ipaddress
from collections.abc import Sequence

from lightfit.errors import UsageError, clip

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


def is_known(value: str, hosts: Sequence[str]) -> bool:
    """Return whether the header `Host` holds an address in numbers, or one of the names of `choose_hosts`."""
    name = drop_port(value)
    inner = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    # An address in numbers cannot be another site's name.
    return _is_address(inner) or any(
        host == ANY or name == host or (host.startswith("*.") and name.endswith(host[1:])) for host in hosts
    )


def drop_port(value: str) -> str:
    """Return the name or address in the header `Host`, in lower case."""
    value = value.strip().lower()
    name, colon, port = value.rpartition(":")
    return (name if colon and (not port or port.isdecimal()) and not value.endswith("]") else value).removesuffix(".")
