"""Search for good hyperparameters: `python scripts/tune.py --task imdb --trials 20`."""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: custom classes come from the working directory, LightFit from this clone
    sys.path[:1] = [str(Path.cwd()), str(Path(__file__).resolve().parents[1])]

from lightfit.errors import UsageError
from lightfit.extras import importing_extra
from lightfit.scripts.cli.command import format_command, program
from lightfit.scripts.cli.exit_codes import exit_code
from lightfit.scripts.cli.postponed import postpone
from lightfit.scripts.cli.presets import preset_path
from lightfit.scripts.tuning.space import parse_pairs, read_space


def main(args: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        program("tune"),
        description="Search for good values of the hyperparameters that the section tune of a preset lists.",
        epilog="All other arguments are those of fit.py and the same for all trials, such as --data.source or "
        "--trainer.max_epochs. The same command resumes the search.",
        allow_abbrev=False,
    )
    parser.add_argument("--task", required=True, help="a preset with a section tune: a name, or the path of a YAML")
    parser.add_argument("--trials", type=int, default=20, help="total number of trials (default: 20)")
    parser.add_argument("--output", type=Path, help="folder of the search (default: runs/tune_<task>)")
    parser.add_argument("--gpus", default="auto", help="devices of each trial, as in fit.py")
    parser.add_argument("--engine", choices=("optuna", "ray"), default="optuna", help="ray: on the available cluster")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sampler (default: 0)")
    parser.add_argument("--debug", action="store_true", help="print errors with their traceback")
    options, rest = parser.parse_known_args(args)
    return exit_code(lambda: tune(options, rest), debug=options.debug)


def tune(options: argparse.Namespace, rest: list[str]) -> None:
    """Run the missing trials, print the best values, and write them as a preset.

    Raises:
        UsageError: an argument or the preset is invalid.
    """
    if options.trials < 1:
        raise UsageError(f"expected --trials of at least 1, received {options.trials}")
    preset = preset_path(options.task)
    space = read_space(preset)
    if both := sorted(set(space) & set(parse_pairs(rest))):
        raise UsageError(f"--{both[0]} is given, but is also in the section tune of the preset: leave one of them out")
    folder = options.output or Path("runs", f"tune_{preset.stem}")
    folder.mkdir(parents=True, exist_ok=True)
    # Imports torch and Lightning, so it comes after the checks.
    with importing_extra(f"--engine {options.engine}"):
        if options.engine == "ray":
            from lightfit.scripts.tuning.ray_search import search_by_ray as search
        else:
            from lightfit.scripts.tuning.optuna_search import search_by_optuna as search
    from lightfit.scripts.tuning.trials import Search, write_best

    settings = Search(preset.stem, preset, tuple(rest), options.gpus, folder)
    values, score, trials = search(settings, space, trials=options.trials, seed=options.seed)
    path = write_best(settings, values, score, trials=trials)
    print(f"\nbest of {trials} trials: {score.monitor} {score.value:.4f}")
    for key, value in values.items():
        print(f"  {key}: {value}")
    print(f"\nnext:\n  {format_command('fit')} --task {path}\n  tensorboard --logdir {folder}")


if __name__ == "__main__":
    postpone()
    sys.exit(main())
