"""What a preset says is to be tried: the section `tune`."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lightfit.errors import UsageError

EXAMPLE = "tune:\n  model.lr: {low: 0.001, high: 0.1, log: true}\n  data.batch_size: [20, 50, 100]"


class Range(NamedTuple):
    """Numbers from `low` to `high`, both included; whole ones if both are."""

    low: float
    high: float
    log: bool

    @property
    def whole(self) -> bool:
        """Whether it is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Space = dict[str, Range | list[Any]]


def read_space(preset: Path) -> Space:
    """By key, as on the command line, the range or the values to try.

    Raises:
        UsageError: the preset has no such section, or a line of it is not understood.
    """
    try:
        held = yaml.safe_load(preset.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"'{preset}' is no YAML: {' '.join(str(error).split())}") from error
    section = held.get("tune") if isinstance(held, dict) else None
    if not isinstance(section, dict) or not section:
        raise UsageError(f"'{preset}' does not say what to try: give it a section such as\n{EXAMPLE}")
    return {str(key): _tried(str(key), value) for key, value in section.items()}


def _tried(key: str, value: Any) -> Range | list[Any]:
    if isinstance(value, list) and len(value) > 1:
        return value
    if isinstance(value, dict) and {"low", "high"} <= set(value) <= {"low", "high", "log"}:
        low, high, log = value["low"], value["high"], value.get("log", False)
        numbers = all(isinstance(item, int | float) and math.isfinite(item) for item in (low, high))
        if numbers and low < high and isinstance(log, bool) and (low > 0 or not log):
            return Range(low, high, log)
    raise UsageError(
        f"tune.{key}: expected a list of values, or {{low, high, log}} with low below high, above 0 for log; received "
        f"{value}"
    )


def set_key(config: dict[str, Any], key: str, value: Any) -> None:
    """Sets a dotted key, as on the command line, in a preset: below a class, in its `init_args`.

    Args:
        config: the preset, which is changed.
        key: such as `model.net.dropout`.
        value: plain data.
    """
    *path, last = key.replace(".init_args", "").split(".")
    place = config
    for name in path:
        place = _arguments(place)
        if not isinstance(place.get(name), dict):
            # A class by its name alone, or nothing yet.
            place[name] = {"class_path": place[name]} if isinstance(place.get(name), str) else {}
        place = place[name]
    _arguments(place)[last] = value


def _arguments(place: dict[str, Any]) -> dict[str, Any]:
    return place.setdefault("init_args", {}) if "class_path" in place else place


def pairs(args: list[str]) -> Mapping[str, Any]:
    """The keys and values of arguments `--key value` and `--key=value`.

    Raises:
        UsageError: one is none of these.
    """
    found: dict[str, Any] = {}
    words = iter(args)
    for word in words:
        key, equals, value = word.partition("=")
        if not key.startswith("--"):
            raise UsageError(f"'{word}' is not understood: expected --key value, as fit.py takes them")
        found[key.removeprefix("--")] = yaml.safe_load(value if equals else next(words, "null"))
    return found
