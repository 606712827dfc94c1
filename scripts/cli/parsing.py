"""jsonargparse's parse errors in words for the person at the shell."""

import dataclasses
import difflib
import importlib
import inspect
import json
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
    unknown = re.search(
        r"Option '(.+?)' is not accepted|unrecognized arguments: --([^\s=]+)|"
        r"Group '(.+?)' does not accept option '(.+?)'",
        error,
    )
    if unknown:
        name = ".".join(filter(None, unknown.groups()))
        return (
            _unknown(name, ".".join([*keys, ""]), _parameters(classes[-1])) if classes else _unknown(name, "", options)
        )
    place = f"{'.'.join(keys)}{': ' if keys else ''}"
    causes = [line.strip(" -") for line in error.splitlines() if re.search("required|No module|no attribute", line)]
    if causes:
        return f"{place}{causes[-1]}"
    expected = re.findall(r"^([ -]*)Expected an? (.+?)(?:\. Got value: .*)?$", error, re.MULTILINE)
    if not expected:
        return f"{place}{' '.join(error.split())}"
    depth = max(len(indent) for indent, _ in expected)
    kinds = dict.fromkeys(_plain(kind) for indent, kind in expected if len(indent) == depth)
    received = re.search(r"(?:Given|Got) value: (.*)", error)
    return f"{place}expected {' or '.join(kinds)}{f', received {received[1]}' if received else ''}"


def spell_nulls(args: list[str]) -> list[str]:
    """The arguments with `--data.transforms.size null`, and all of its kind, as `--config` with the same in JSON.

    jsonargparse takes such a null for the text "None", where the field belongs to a group of a class's arguments.
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
    """What a class raised when it was built, from under the errors that jsonargparse wraps it in."""
    wrapped = ("Does not validate", "Problem with given", "Parser key", "Call to compute_fn")
    while error.__cause__ is not None and str(error).startswith(wrapped):
        error = error.__cause__
    return error


def _plain(kind: str) -> str:
    kind = re.sub(r"<class '([^']+)'>", r"\1", kind).replace("NoneType", "null")
    return re.sub(r"typing\.Literal\[([^\]]*)\]", r"\1", kind).replace("', '", "' or '")


def _unknown(name: str, prefix: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    hint = f"the nearest: {', '.join(prefix + item for item in near)}" if near else "--help_all lists the keys"
    return f"unknown key '{prefix}{name}'; {hint}"


def _parameters(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    groups = {name: item.default for name, item in parameters.items() if dataclasses.is_dataclass(item.default)}
    return [*parameters, *(f"{name}.{f.name}" for name, group in groups.items() for f in dataclasses.fields(group))]
