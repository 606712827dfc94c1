"""Search with Optuna, whose trials are stored in an SQLite file from which the search resumes."""

import json
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from lightfit.errors import UsageError

from ..cli.exit_codes import format_error
from .space import Range, Space
from .trials import Score, Search, negate_if_max, run_trial

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
STARTUP_TRIALS, WARMUP_EPOCHS = 5, 1  # before trials are pruned


def search_by_optuna(search: Search, space: Space, *, trials: int, seed: int) -> tuple[dict[str, Any], Score, int]:
    """Run trials until there are as many as asked for; return the best values, their score and the number of trials.

    Args:
        search: settings that all trials share.
        space: ranges and values to try.
        trials: total number of trials, including those of earlier calls.
        seed: seed of the sampler.

    Raises:
        UsageError: the study is of another task or another space, or no trial has a score.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = open_study(search, space, seed)
    for left in study.get_trials(states=(TrialState.RUNNING,), deepcopy=False):
        study.tell(left.number, state=TrialState.FAIL)  # left over from a search that was killed
    if done := _count_ended(study):
        print(f"resuming after {done} trials of '{search.folder / 'study.db'}'", flush=True)
    failed = 0
    while _count_ended(study) < trials:
        trial = study.ask()
        try:
            _try(study, trial, search, space)
        except Exception as error:
            failed += 1
            if failed > trials // 2:
                raise UsageError(f"{failed} trials failed, the last one with: {format_error(error)}") from error
        print(_format_trial(study, trial.number), flush=True)
    if not study.get_trials(states=(TrialState.COMPLETE,), deepcopy=False):
        raise UsageError("no trial completed, so there is no best one: increase --trials")
    mode = study.user_attrs["mode"]
    # Negating twice returns the metric itself.
    score = Score(negate_if_max(study.best_value, mode), study.user_attrs["monitor"], mode)
    return dict(study.best_params), score, _count_ended(study)


def _try(study: optuna.Study, trial: optuna.Trial, search: Search, space: Space) -> None:
    values = {key: _suggest(trial, key, tried) for key, tried in space.items()}

    def report(value: float, epoch: int, mode: str) -> None:
        trial.report(negate_if_max(value, mode), epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        score = run_trial(search, trial.number, values, report)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
        return
    except BaseException as error:
        study.tell(trial, state=TrialState.FAIL)
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt("interrupted; the same command resumes the search") from None
        raise
    study.set_user_attr("monitor", score.monitor)
    study.set_user_attr("mode", score.mode)
    study.tell(trial, negate_if_max(score.value, score.mode))


def _count_ended(study: optuna.Study) -> int:
    return len(study.get_trials(states=ENDED, deepcopy=False))


def open_study(search: Search, space: Space, seed: int) -> optuna.Study:
    """Open the study in the folder of the search, or create it. It minimises; a metric of mode max is negated.

    Raises:
        UsageError: the file is not a study, or has another task, other arguments or another space.
    """
    path = search.folder / "study.db"
    settings = {"task": search.task, "arguments": list(search.args), "space": json.loads(json.dumps(space))}
    try:
        study = optuna.create_study(storage=f"sqlite:///{path}", study_name="lightfit", load_if_exists=True)
    except (SQLAlchemyError, RuntimeError, ValueError) as error:
        raise UsageError(f"'{path}' is not a study of Optuna: {' '.join(str(error).split())[:200]}") from error
    known = study.user_attrs
    for name, value in settings.items():
        if name in known and known[name] != value:
            raise UsageError(
                f"'{path}' belongs to another search: its {name} is {known[name]}, received {value}; "
                "choose another --output"
            )
        study.set_user_attr(name, value)
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), n_startup_trials=STARTUP_TRIALS)
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_EPOCHS)
    return study


def _suggest(trial: optuna.Trial, key: str, tried: Range | list[Any]) -> Any:
    if isinstance(tried, list):
        return trial.suggest_categorical(key, tried)
    if tried.whole:
        return trial.suggest_int(key, int(tried.low), int(tried.high), log=tried.log)
    return trial.suggest_float(key, tried.low, tried.high, log=tried.log)


def _format_trial(study: optuna.Study, index: int) -> str:
    trial = study.trials[index]
    values = ", ".join(f"{key} {_format_value(value)}" for key, value in trial.params.items())
    if trial.state == TrialState.COMPLETE:
        result = f"{study.user_attrs['monitor']} {negate_if_max(trial.value or 0.0, study.user_attrs['mode']):.4f}"
    elif trial.state == TrialState.PRUNED:
        result = f"pruned after epoch {trial.last_step}, as it was worse than the others"
    else:
        result = "failed"
    return f"trial {index}: {values}: {result}"


def _format_value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
