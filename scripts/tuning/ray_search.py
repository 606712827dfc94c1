"""The same search by Ray Tune, on the cluster that is there or on this machine."""

import os
import sysconfig
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator

import lightfit
from lightfit.errors import UsageError

from .space import Range, Space
from .trials import Score, Search, minimised, run_trial


def search_by_ray(search: Search, space: Space, *, trials: int, seed: int) -> tuple[dict[str, Any], Score, int]:
    """Runs the trials, ending the poor ones early; returns the best one's values and score, and their number.

    The folder of the search must be one that all machines of the cluster share.

    Args:
        search: what all trials have in common.
        space: what is tried.
        trials: number of trials.
        seed: seed of what is tried.

    Raises:
        UsageError: no trial gave a score.
    """
    if not ray.is_initialized():
        ray.init(runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(_import_folders())}})
    search = search._replace(folder=search.folder.absolute(), preset=search.preset.absolute())
    tuner = tune.Tuner(
        tune.with_parameters(_try, search=search, here=str(Path.cwd())),
        param_space={key: _distribution(tried) for key, tried in space.items()},
        tune_config=tune.TuneConfig(
            metric="watched",
            mode="min",
            num_samples=trials,
            scheduler=_scheduler(),
            search_alg=BasicVariantGenerator(random_state=seed),
        ),
        run_config=tune.RunConfig(name="ray", storage_path=str(search.folder), verbose=0),
    )
    results = tuner.fit()
    rows: list[Any] = [results[number] for number in range(len(results))]
    ended = [result for result in rows if result.metrics and "score" in result.metrics]
    if not ended:
        raise UsageError(f"no trial came to its end; the first error: {next(iter(results.errors), 'none')}")
    best = min(ended, key=lambda result: result.metrics["watched"])
    held: Any = best.metrics
    return dict(best.config or {}), Score(held["score"], held["monitor"], held["mode"]), len(rows)


def _scheduler() -> ASHAScheduler:
    """Return what ends the poor trials early. Ray's own default also ends every trial after 100 reports, the good ones
    too, and these would then have no score."""
    return ASHAScheduler(grace_period=2, stop_last_trials=False)


def _import_folders() -> list[str]:
    """Return where a worker finds what is imported: the user's own classes here, and LightFit, which a clone need not
    have installed. Ray itself passes on the working directory and the script's folder alone."""
    root = str(Path(lightfit.__file__).resolve().parents[1])
    installed = root in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return list(dict.fromkeys([str(Path.cwd()), *([] if installed else [root]), *filter(None, own)]))


def _try(values: dict[str, Any], search: Search, here: str) -> None:
    os.chdir(here)  # Ray works in a folder of its own, and data and classes are found from this one
    number = int(str(tune.get_context().get_trial_id()).split("_")[-1])

    def report(value: float, epoch: int, mode: str) -> None:
        tune.report({"watched": minimised(value, mode)})

    score = run_trial(search, number, values, report)
    tune.report({"watched": minimised(score.value, score.mode), **score._asdict(), "score": score.value})


def _distribution(tried: Range | list[Any]) -> Any:
    if isinstance(tried, list):
        return tune.choice(tried)
    if tried.whole:
        draw = tune.lograndint if tried.log else tune.randint
        return draw(int(tried.low), int(tried.high) + 1)
    return (tune.loguniform if tried.log else tune.uniform)(tried.low, tried.high)
