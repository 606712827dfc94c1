"""The token that clients of the server must send: from the environment or a file, never from the command line."""

import os
from pathlib import Path

from lightfit.errors import UsageError

VARIABLE = "LIGHTFIT_TOKEN"
MIN_CHARS = 16


def read_token(file: str | None) -> str:
    """Return the token of a file, else of the environment's `LIGHTFIT_TOKEN`; empty: the server is open to all.

    There is no argument for the token itself, as every user of a machine sees the arguments of its processes.

    Raises:
        UsageError: the file cannot be read, or the token is empty, short, or not of visible ASCII characters.
    """
    if file is None:
        token, where = os.environ.get(VARIABLE), f"the environment's {VARIABLE}"
        if token is None:
            return ""
    else:
        where = f"--token_file '{file}'"
        try:
            token = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{where} cannot be read ({getattr(error, 'strerror', None) or error}): expected a file of one line, "
                "the token"
            ) from error
    if len(token) < MIN_CHARS or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            f"{where} is no token: expected at least {MIN_CHARS} visible ASCII characters without spaces, received "
            f"{len(token)} characters; python -c 'import secrets; print(secrets.token_urlsafe())' makes one"
        )
    return token
