"""Parse errors of jsonargparse, reworded for the user of the command line."""

import dataclasses
import difflib
import importlib
import inspect
import json
import re
from collections.abc import Iterable


def explain(error: str, options: Iterable[str]) -> str:
    """Return a one-line message for a parse error: the key, what was expected, and the nearest keys to an unknown one.

    Args:
        error: the message of jsonargparse.
        options: dotted names of all options known to the parser, such as `trainer.max_epochs`.
    """
    keys = re.findall(r'Parser key "([^"]+)"', error)
    classes = re.findall(r"class_path '([^']+)'", error)
    unknown = re.search(
        r"Option '(.+?)' is not accepted|unrecognized arguments: --([^\s=]+)|"
        r"Group '(.+?)' does not accept option '(.+?)'",
        error,
    )
    if unknown:
        name = ".".join(filter(None, unknown.groups()))
        return (
            _format_unknown(name, ".".join([*keys, ""]), _list_parameters(classes[-1]))
            if classes
            else _format_unknown(name, "", options)
        )
    place = f"{'.'.join(keys)}{': ' if keys else ''}"
    causes = [line.strip(" -") for line in error.splitlines() if re.search("required|No module|no attribute", line)]
    if causes:
        return f"{place}{causes[-1]}"
    expected = re.findall(r"^([ -]*)Expected an? (.+?)(?:\. Got value: .*)?$", error, re.MULTILINE)
    if not expected:
        return f"{place}{' '.join(error.split())}"
    depth = max(len(indent) for indent, _ in expected)
    kinds = dict.fromkeys(_simplify_type(kind) for indent, kind in expected if len(indent) == depth)
    received = re.search(r"(?:Given|Got) value: (.*)", error)
    return f"{place}expected {' or '.join(kinds)}{f', received {received[1]}' if received else ''}"


def spell_nulls(args: list[str]) -> list[str]:
    """Replace nulls in groups, such as `--data.transforms.size null`, by `--config` with the same in JSON.

    jsonargparse reads such a null as the text "None" if the field belongs to a group of arguments of a class.
    """
    spelled: list[str] = []
    words = iter(args)
    for word in words:
        flag, _, value = word.partition("=")
        found = re.fullmatch(r"--(data|model)\.(?:init_args\.)?(?!net\.)(\w+)\.(\w+)", flag)
        if found and "=" not in word:
            value = next(words, "")
            word = f"{word}={value}"
        if found and value in ("null", "None", "~"):
            section, group, name = found.groups()
            word = f"--config={json.dumps({section: {'init_args': {group: {name: None}}}})}"
        spelled.append(word)
    return spelled


def unwrap(error: BaseException) -> BaseException:
    """Return the error that a constructor raised, without the errors that jsonargparse wraps around it."""
    wrapped = ("Does not validate", "Problem with given", "Parser key", "Call to compute_fn")
    while error.__cause__ is not None and str(error).startswith(wrapped):
        error = error.__cause__
    return error


def _simplify_type(kind: str) -> str:
    kind = re.sub(r"<class '([^']+)'>", r"\1", kind).replace("NoneType", "null")
    return re.sub(r"typing\.Literal\[([^\]]*)\]", r"\1", kind).replace("', '", "' or '")


def _format_unknown(name: str, prefix: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    hint = f"the nearest: {', '.join(prefix + item for item in near)}" if near else "--help_all lists the keys"
    return f"unknown key '{prefix}{name}'; {hint}"


def _list_parameters(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    groups = {name: item.default for name, item in parameters.items() if dataclasses.is_dataclass(item.default)}
    return [*parameters, *(f"{name}.{f.name}" for name, group in groups.items() for f in dataclasses.fields(group))]
