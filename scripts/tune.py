"""Search for good values: `python scripts/tune.py --task imdb --trials 20`."""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: classes of your own come from the working directory, ours from this clone
    sys.path[:1] = [str(Path.cwd()), str(Path(__file__).resolve().parents[1])]

from lightfit.errors import MissingPackageError, UsageError
from lightfit.scripts.cli.command import how_to_run, program
from lightfit.scripts.cli.exit_codes import exit_code
from lightfit.scripts.cli.postponed import postpone
from lightfit.scripts.cli.presets import preset_path
from lightfit.scripts.tuning.space import pairs, read_space


def main(args: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        program("tune"),
        description="Search for good values of what a preset's section tune names.",
        epilog="All other arguments are fit.py's and the same for all trials, such as --data.source or "
        "--trainer.max_epochs. The same command again goes on with the search.",
        allow_abbrev=False,
    )
    parser.add_argument("--task", required=True, help="a preset with a section tune: a name, or the path of a YAML")
    parser.add_argument("--trials", type=int, default=20, help="number of trials in all (default: 20)")
    parser.add_argument("--output", type=Path, help="folder of the search (default: runs/tune_<task>)")
    parser.add_argument("--gpus", default="auto", help="of each trial, as in fit.py")
    parser.add_argument(
        "--engine", choices=("optuna", "ray"), default="optuna", help="ray: on the cluster that is there"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of what is tried (default: 0)")
    parser.add_argument("--debug", action="store_true", help="errors with their traceback")
    options, rest = parser.parse_known_args(args)
    return exit_code(lambda: tune(options, rest), debug=options.debug)


def tune(options: argparse.Namespace, rest: list[str]) -> None:
    """Runs the trials that are missing, says the best values, and writes them as a preset.

    Raises:
        UsageError: what was typed cannot be done.
    """
    if options.trials < 1:
        raise UsageError(f"expected --trials of at least 1, received {options.trials}")
    preset = preset_path(options.task)
    space = read_space(preset)
    if both := sorted(set(space) & set(pairs(rest))):
        raise UsageError(f"--{both[0]} is given, and the preset's section tune tries it: leave one of them out")
    folder = options.output or Path("runs", f"tune_{preset.stem}")
    folder.mkdir(parents=True, exist_ok=True)
    # Torch and Lightning, imported after what needs neither.
    try:
        if options.engine == "ray":
            from lightfit.scripts.tuning.ray_search import search_by_ray as search
        else:
            from lightfit.scripts.tuning.optuna_search import search_by_optuna as search
    except ModuleNotFoundError as error:
        extra = {"optuna": "tune", "ray": "ray"}.get(str(error.name), "")
        raise MissingPackageError(
            f"--engine {options.engine} needs {error.name}: pip install 'lightfit[{extra}]'"
        ) from error
    from lightfit.scripts.tuning.trials import Search, write_best

    of_all = Search(preset.stem, preset, tuple(rest), options.gpus, folder)
    values, score, trials = search(of_all, space, trials=options.trials, seed=options.seed)
    path = write_best(of_all, values, score, trials=trials)
    print(f"\nbest of {trials} trials: {score.monitor} {score.value:.4f}")
    for key, value in values.items():
        print(f"  {key}: {value}")
    print(f"\nnext:\n  {how_to_run('fit')} --task {path}\n  tensorboard --logdir {folder}")


if __name__ == "__main__":
    postpone()
    sys.exit(main())
