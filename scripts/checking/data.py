"""The DataModule of a preset, without its model."""

from argparse import ArgumentError
from pathlib import Path
from typing import Any

import yaml

from lightfit.errors import DataError, UsageError
from lightfit.lightning import pl
from lightfit.trust import import_name

from ..cli.arguments import find_flags, register_flags
from ..cli.lightning_parser import LightningArgumentParser
from ..cli.parsing import explain, unwrap
from ..cli.short_names import import_named


def build_preset_data(preset: Path, args: list[str]) -> pl.LightningDataModule:
    """Build the DataModule of a preset, without reading its data.

    Args:
        preset: the YAML file.
        args: arguments `--data.*` that replace those of the preset.

    Raises:
        UsageError: the preset has no data, or an argument is unknown or invalid.
    """
    data = _read_section(preset)
    import_named([*args, str(preset)])
    parser = LightningArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_subclass_arguments(pl.LightningDataModule, "data", required=True)
    cls = import_name(data["class_path"])
    register_flags(find_flags(data=cls))
    try:
        config = parser.parse_args([f"--data={yaml.safe_dump(data, default_flow_style=True, width=10**9)}", *args])
        return parser.instantiate_classes(config).data
    except ArgumentError as error:
        raise UsageError(explain(str(error), [f"data.{name}" for name in find_flags(data=cls)])) from error
    except (TypeError, ValueError) as error:
        cause = unwrap(error)
        if isinstance(cause, (DataError, UsageError)):
            raise cause from None
        raise UsageError(explain(str(cause), [])) from error


def _read_section(preset: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(preset.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"'{preset}' is not valid YAML: {' '.join(str(error).split())}") from error
    data = config.get("data") if isinstance(config, dict) else None
    if not isinstance(data, dict) or "class_path" not in data:
        raise UsageError(f"'{preset}' names no data: expected a key data with a class_path")
    return data
