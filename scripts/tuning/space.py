"""The search space: the section `tune` of a preset."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lightfit.errors import UsageError

EXAMPLE = "tune:\n  model.lr: {low: 0.001, high: 0.1, log: true}\n  data.batch_size: [20, 50, 100]"


class Range(NamedTuple):
    """Numbers from `low` to `high`, both included; integers if both are integers."""

    low: float
    high: float
    log: bool

    @property
    def whole(self) -> bool:
        """Return whether it is a range of integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Space = dict[str, Range | list[Any]]


def read_space(preset: Path) -> Space:
    """Read the ranges and values to try from a preset, by key as on the command line.

    Raises:
        UsageError: the preset has no such section, or an entry of it is invalid.
    """
    try:
        preset_dict = yaml.safe_load(preset.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"'{preset}' is not valid YAML: {' '.join(str(error).split())}") from error
    section = preset_dict.get("tune") if isinstance(preset_dict, dict) else None
    if not isinstance(section, dict) or not section:
        raise UsageError(f"'{preset}' has no section tune, which lists what to try: add one such as\n{EXAMPLE}")
    return {str(key): _parse_values(str(key), value) for key, value in section.items()}


def _parse_values(key: str, value: Any) -> Range | list[Any]:
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
    """Set a dotted key, as on the command line, in a preset; for a class, in its `init_args`.

    Args:
        config: the preset, modified in place.
        key: such as `model.net.dropout`.
        value: plain data.
    """
    *path, last = key.replace(".init_args", "").split(".")
    place = config
    for name in path:
        place = _get_arguments(place)
        if not isinstance(place.get(name), dict):
            # A class given by its name only, or nothing yet.
            place[name] = {"class_path": place[name]} if isinstance(place.get(name), str) else {}
        place = place[name]
    _get_arguments(place)[last] = value


def _get_arguments(place: dict[str, Any]) -> dict[str, Any]:
    return place.setdefault("init_args", {}) if "class_path" in place else place


def parse_pairs(args: list[str]) -> Mapping[str, Any]:
    """Parse arguments `--key value` and `--key=value` into a dict.

    Raises:
        UsageError: an argument has another form.
    """
    found: dict[str, Any] = {}
    words = iter(args)
    for word in words:
        key, equals, value = word.partition("=")
        if not key.startswith("--"):
            raise UsageError(f"'{word}' is not understood: expected --key value, as for fit.py")
        found[key.removeprefix("--")] = yaml.safe_load(value if equals else next(words, "null"))
    return found
