"""jsonargparse's parse errors in words for the person at the shell."""

import difflib
import importlib
import inspect
import re
from collections.abc import Iterable


def explain(error: str, options: Iterable[str]) -> str:
    """One sentence for a parse error: which key, what was expected, and for an unknown key the nearest ones.

    Args:
        error: the message of jsonargparse.
        options: dotted names of all options that the parser itself knows, such as `trainer.max_epochs`.
    """
    keys = re.findall(r'Parser key "([^"]+)"', error)
    classes = re.findall(r"class_path '([^']+)'", error)
    unknown = re.search(r"Option '([^']+)' is not accepted|unrecognized arguments: --([^\s=]+)", error)
    if unknown:
        name = unknown.group(1) or unknown.group(2)
        return (
            _unknown(name, ".".join([*keys, ""]), _parameters(classes[-1])) if classes else _unknown(name, "", options)
        )
    causes = [
        line.strip(" -") for line in error.splitlines() if re.search("Expected a|required|No module|no attribute", line)
    ]
    cause = ([line for line in causes if "NoneType" not in line] or [" ".join(error.split())])[-1]
    return f"{'.'.join(keys)}{': ' if keys else ''}{_plain(cause)}"


def _plain(cause: str) -> str:
    return re.sub("<class '([^']+)'>", r"\1", cause)


def _unknown(name: str, prefix: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    hint = f"the nearest: {', '.join(prefix + item for item in near)}" if near else "--help lists the keys"
    return f"unknown key '{prefix}{name}'; {hint}"


def _parameters(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    return list(inspect.signature(getattr(importlib.import_module(module), name)).parameters)
