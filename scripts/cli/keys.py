"""Dotted keys of a configuration, and those that the user cannot set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightfit.errors import UsageError

# Sizes that a DataModule knows, and that a net receives as an argument of the same name.
SIZES = (
    *("num_classes", "num_outputs", "image_size", "image_channels", "vocab_size", "max_len", "pad_id"),
    *("num_features", "num_targets", "lookback", "horizon", "season"),
    *("num_known", "num_static", "masked"),
)
# What the model receives from the DataModule in the same way, and where it comes from.
MODEL_LINKS = {"loss_weights": "--data.class_weights", "units": "the data", "num_outputs": "the data"}
LINKED = {"data.seed": "--seed_everything"} | {f"model.net.{size}": "the data" for size in SIZES}
LINKED["model.net.num_quantiles"] = "--model.quantiles"
LINKED |= {f"model.{name}": source for name, source in MODEL_LINKS.items()}


def refuse_linked(args: list[str]) -> None:
    """Check that neither the command line nor its YAML files set a key whose value comes from elsewhere.

    Raises:
        UsageError: a value is given that would be silently overwritten.
    """
    given = list_given(args) & set(LINKED)
    if given:
        name = min(given)
        raise UsageError(f"{name} comes from {LINKED[name]}: leave it out, as it would be overwritten")


def list_given(args: list[str]) -> set[str]:
    """List the dotted keys that a command line and its YAML files set, without `init_args`.

    Raises:
        UsageError: a file is no configuration.
    """
    return list_typed(args).union(*map(flatten_keys, read_configs(args)))


def list_typed(args: list[str]) -> set[str]:
    """List the dotted keys that a command line itself sets, without `init_args`."""
    return {item.split("=")[0].removeprefix("--").replace(".init_args", "") for item in args if item.startswith("--")}


def read_configs(args: list[str]) -> list[dict[str, Any]]:
    """Read the YAML files of a command line.

    Raises:
        UsageError: a file is no configuration.
    """
    following = zip(args, [*args[1:], ""], strict=True)
    named = [Path(after if word in ("--config", "-c") else word.removeprefix("--config=")) for word, after in following]
    return [_read_config(path) for path in named if path.suffix in (".yaml", ".yml") and path.is_file()]


def _read_config(path: Path) -> dict[str, Any]:
    import yaml  # here, as `fit.py --help` imports this file

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"'{path}' is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise UsageError(f"'{path}' is not a configuration: expected keys such as model, data and trainer")
    return config


def flatten_keys(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested dicts as one dict with dotted keys, without `init_args`, as on the command line."""
    dotted: dict[str, Any] = {}
    for name, value in values.items():
        key = prefix.rstrip(".") if name == "init_args" else f"{prefix}{name}"
        dotted |= flatten_keys(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return dotted
