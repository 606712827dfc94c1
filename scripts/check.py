"""Tell what is in raw data before it is trained on: `python scripts/check.py --task text --data.source reviews.csv`."""

import argparse
import json
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: custom classes come from the working directory, LightFit's from this clone
    sys.path[:1] = [str(Path.cwd()), str(Path(__file__).resolve().parents[1])]

from lightfit.errors import UsageError
from lightfit.scripts.cli.command import program
from lightfit.scripts.cli.exit_codes import exit_code
from lightfit.scripts.cli.outputs import check_output, output_file
from lightfit.scripts.cli.postponed import postpone
from lightfit.scripts.cli.presets import list_tasks, preset_path
from lightfit.scripts.cli.quiet import hush


def main(args: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        program("check"),
        description="Tell what is in your data, as it would be trained on: format, columns, splits, classes, "
        "duplicates, and what may be wrong, with the flag that answers it.",
        epilog="Set --data.* as for fit.py, such as --data.source reviews.csv, --data.root photos or --data.path "
        "sales.csv.",
        allow_abbrev=False,
    )
    parser.add_argument("--task", help="a preset in tasks/, or the path of a custom YAML file")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("-o", "--output", type=Path, help="also write a page with plots, such as check.html")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors")
    options, rest = parser.parse_known_args(args)
    return exit_code(lambda: check(options, rest), debug=options.debug)


def check(options: argparse.Namespace, rest: list[str]) -> None:
    """Read the data of a preset, and print or write what was found.

    Args:
        options: the flags.
        rest: arguments `--data.*`.

    Raises:
        UsageError: the arguments are invalid.
        DataError: the data cannot be read; the message says why.
    """
    if strange := [word for word in rest if word.startswith("-") and not word.startswith("--data")]:
        raise UsageError(f"unknown option {strange[0]}: see --help; --data.* select the data, as for fit.py")
    if not options.task:
        raise UsageError(f"expected --task NAME, one of:\n{list_tasks()}")
    preset = preset_path(options.task)
    if options.output is not None:
        check_output(options.output, overwrite=options.overwrite, suffixes=(".html",))
    # Torch and Lightning are imported after all that needs neither.
    from lightfit.datamodules import DataModule
    from lightfit.datamodules.findings import Findings
    from lightfit.scripts.checking.data import build_preset_data
    from lightfit.scripts.checking.page import as_plain, render_findings
    from lightfit.scripts.cli.arguments import name_flags
    from lightfit.scripts.training.report import describe

    hush()
    data = build_preset_data(preset, rest)
    data.prepare_data()
    data.setup("fit")
    findings = data.loaded.findings if isinstance(data, DataModule) else Findings()
    source = str(getattr(data, "source", None) or type(data).__name__)
    description = name_flags(describe(data))
    if options.json:
        print(json.dumps(as_plain(findings, source=source, description=description), indent=1, ensure_ascii=False))
    else:
        print("\n".join([description, *map(name_flags, findings.lines())]))
    if options.output is not None:
        with output_file(options.output) as path:
            path.write_text(render_findings(findings, source=source, description=description), encoding="utf-8")
        if not options.json:
            print(f"written: {options.output}")


if __name__ == "__main__":
    postpone()
    sys.exit(main())
