"""Old spellings, each said once."""

import logging

from lightfit.lightning import pl

log = logging.getLogger(__name__)
_said: set[str] = set()  # in this process


def say_once(old: str, new: str) -> None:
    """Log that `old` is written `new` today, the first time it is met in this process; on rank 0 alone."""
    if old not in _said:
        _said.add(old)
        pl.utilities.rank_zero_only(log.warning)("`%s` still works; today it is written %s", old, new)
