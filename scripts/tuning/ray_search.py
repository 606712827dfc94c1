"""The same search by Ray Tune, on the cluster that is there or on this machine."""

import os
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator

from lightfit.errors import UsageError

from .space import Range, Space
from .trials import Score, Search, run_trial


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
    search = search._replace(folder=search.folder.absolute(), preset=search.preset.absolute())
    tuner = tune.Tuner(
        tune.with_parameters(_try, search=search, here=str(Path.cwd())),
        param_space={key: _distribution(tried) for key, tried in space.items()},
        tune_config=tune.TuneConfig(
            metric="watched",
            mode="min",
            num_samples=trials,
            scheduler=ASHAScheduler(grace_period=2),
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


def _try(values: dict[str, Any], search: Search, here: str) -> None:
    os.chdir(here)  # Ray works in a folder of its own, and data and classes are found from this one
    number = int(str(tune.get_context().get_trial_id()).split("_")[-1])
    sign = -1 if any(word in ("max", "--checkpoint.mode=max") for word in search.args) else 1
    score = run_trial(search, number, values, lambda value, epoch: tune.report({"watched": sign * value}))
    tune.report({"watched": sign * score.value, **score._asdict(), "score": score.value})


def _distribution(tried: Range | list[Any]) -> Any:
    if isinstance(tried, list):
        return tune.choice(tried)
    if tried.whole:
        draw = tune.lograndint if tried.log else tune.randint
        return draw(int(tried.low), int(tried.high) + 1)
    return (tune.loguniform if tried.log else tune.uniform)(tried.low, tried.high)
