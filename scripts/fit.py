"""Train a model: `python scripts/fit.py --task imdb --gpus 1`."""

import argparse
import sys
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":  # run as a file: custom classes come from the working directory, LightFit's from this clone
    sys.path[:1] = [str(Path.cwd()), str(Path(__file__).resolve().parents[1])]

from lightfit.errors import UsageError
from lightfit.scripts.cli.command import program
from lightfit.scripts.cli.exit_codes import exit_code
from lightfit.scripts.cli.help import short_help
from lightfit.scripts.cli.postponed import postpone
from lightfit.scripts.cli.presets import list_tasks, preset_path
from lightfit.scripts.training.options import Extras, add_flags, parse_extras

if TYPE_CHECKING:
    from lightfit.scripts.training.lightning_cli import LightFitCLI


def main(args: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    own = argparse.ArgumentParser(program("fit"), add_help=False, allow_abbrev=False)
    own.add_argument("--task")
    own.add_argument("--gpus", default="auto")
    own.add_argument("--list", action="store_true")
    own.add_argument("-h", "--help", action="store_true")
    own.add_argument("--help_all", action="store_true")
    own.add_argument("--init", choices=("strict", "auto"), default="strict")
    add_flags(own)
    own.add_argument("--quiet", action="store_true")
    own.add_argument("--debug", action="store_true")
    typed = sys.argv[1:] if args is None else args
    options, rest = own.parse_known_args(typed)
    if options.list:
        return exit_code(lambda: print(list_tasks()), debug=options.debug)
    command = (lambda: show_help(options)) if options.help else (lambda: fit(options, rest, typed))
    return exit_code(command, debug=options.debug)


def show_help(options: argparse.Namespace) -> None:
    """Print the flags, and the values of the preset.

    Raises:
        UsageError: the preset does not exist.
    """
    print(short_help(preset_path(options.task) if options.task else None))


def find_initial(args: list[str]) -> str | None:
    """Return the configuration of the run whose checkpoint `--init_from` names; None without one."""
    for word, after in zip_longest(args, args[1:], fillvalue=""):
        flag, _, value = word.partition("=")
        if flag == "--init_from":
            config = Path(value or after).absolute().parent.parent / "config.yaml"
            return str(config) if config.is_file() else None
    return None


def fit(options: argparse.Namespace, rest: list[str], typed: list[str]) -> None:
    """Train a model and print the result.

    Args:
        options: the flags of LightFit.
        rest: all other arguments, for LightningCLI.
        typed: the whole command line, to print the command that resumes the run.

    Raises:
        UsageError: the arguments are invalid.
    """
    name, preset = "fit", []
    if options.help_all:
        rest = ["--help", *rest]
    if not options.task and (start := find_initial(rest)) is not None:
        options.task = start
    if options.task:
        path = preset_path(options.task)
        name, preset = path.stem, ["--config", str(path)]
    elif not any(item.split("=")[0] in ("-c", "--config") or "help" in item for item in rest):
        near = [flag for item in rest for flag in get_close_matches(item, ["--task", "--gpus"], cutoff=0.7)]
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(f"expected --task NAME{hint}, one of:\n{list_tasks()}")
    extras, args = parse_extras(options, name), [*preset, *rest]
    # Torch and Lightning are imported after all that needs neither.
    if options.folds is not None:
        from lightfit.scripts.training.folds import cross_validate

        cross_validate(name, args, options.folds, gpus=options.gpus, quiet=options.quiet, extras=extras)
        return
    from lightfit.scripts.training.run import build, train
    from lightfit.scripts.tuning.find import drop_auto, train_halving

    def built(args: list[str], extras: Extras) -> "LightFitCLI":
        cli = build(name, args, gpus=options.gpus, quiet=options.quiet, init=options.init, extras=extras)
        cli.command = typed
        return cli

    if options.find_lr or options.find_batch_size:
        from lightfit.scripts.tuning.find import find_batch_size, find_lr

        (find_lr if options.find_lr else find_batch_size)(built(args, extras))
    elif (fixed := drop_auto(args)) is not None:
        train_halving(name, fixed, extras, built)
    else:
        train(name, built(args, extras))


if __name__ == "__main__":
    postpone()
    sys.exit(main())
