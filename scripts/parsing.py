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
        known = _parameters(classes[-1]) if classes else sorted(options)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        prefix = ".".join([*keys, ""]) if classes else ""
        owner = f" ({classes[-1].rpartition('.')[2]} has no such argument)" if classes else ""
        return (
            f"unknown key '{prefix}{name}'{owner}; "
            + (f"the nearest: {', '.join(prefix + item for item in near)}" if near else f"it knows: {', '.join(known)}")
            if classes or near
            else f"unknown key '{name}'; --help lists them all"
        )
    causes = [
        line.strip(" -") for line in error.splitlines() if re.search(r"Expected a|required|Import|No module", line)
    ]
    causes = [line for line in causes if "NoneType" not in line] or [" ".join(error.split())]
    key = ".".join(keys)
    return f"{key + ': ' if key else ''}{causes[-1]}"


def _parameters(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    return [item for item in inspect.signature(getattr(importlib.import_module(module), name)).parameters]
