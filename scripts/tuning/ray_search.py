"""Search with Ray Tune, on the available cluster or on this machine."""

import os
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator

from lightfit.errors import UsageError

from ..cli.ray_cluster import connect
from .space import Range, Space
from .trials import Score, Search, negate_if_max, run_trial


def search_by_ray(search: Search, space: Space, *, trials: int, seed: int) -> tuple[dict[str, Any], Score, int]:
    """Run trials and stop poor ones early; return the best values, their score and the number of trials.

    All machines of the cluster must share the folder of the search.

    Args:
        search: settings that all trials share.
        space: ranges and values to try.
        trials: number of trials.
        seed: seed of the sampler.

    Raises:
        UsageError: no trial has a score.
    """
    connect()
    search = search._replace(folder=search.folder.absolute(), preset=search.preset.absolute())
    tuner = tune.Tuner(
        tune.with_parameters(_try, search=search, here=str(Path.cwd())),
        param_space={key: _make_distribution(tried) for key, tried in space.items()},
        tune_config=tune.TuneConfig(
            metric="watched",
            mode="min",
            num_samples=trials,
            scheduler=_make_scheduler(),
            search_alg=BasicVariantGenerator(random_state=seed),
        ),
        run_config=tune.RunConfig(name="ray", storage_path=str(search.folder), verbose=0),
    )
    results = tuner.fit()
    rows: list[Any] = [results[index] for index in range(len(results))]
    ended = [result for result in rows if result.metrics and "score" in result.metrics]
    if not ended:
        raise UsageError(f"no trial completed; the first error: {next(iter(results.errors), 'none')}")
    best = min(ended, key=lambda result: result.metrics["watched"])
    metrics: Any = best.metrics
    return dict(best.config or {}), Score(metrics["score"], metrics["monitor"], metrics["mode"]), len(rows)


def _make_scheduler() -> ASHAScheduler:
    """Return a scheduler that stops poor trials early.

    Ray's default would also stop every good trial after 100 reports, and leave it without a score.
    """
    return ASHAScheduler(grace_period=2, stop_last_trials=False)


def _try(values: dict[str, Any], search: Search, here: str) -> None:
    os.chdir(here)  # Ray changes to its own folder, but data and classes are relative to this one
    index = int(str(tune.get_context().get_trial_id()).split("_")[-1])

    def report(value: float, epoch: int, mode: str) -> None:
        tune.report({"watched": negate_if_max(value, mode)})

    score = run_trial(search, index, values, report)
    tune.report({"watched": negate_if_max(score.value, score.mode), **score._asdict(), "score": score.value})


def _make_distribution(tried: Range | list[Any]) -> Any:
    if isinstance(tried, list):
        return tune.choice(tried)
    if tried.whole:
        draw = tune.lograndint if tried.log else tune.randint
        return draw(int(tried.low), int(tried.high) + 1)
    return (tune.loguniform if tried.log else tune.uniform)(tried.low, tried.high)
