"""A search by Optuna: its trials in an SQLite file, from which it goes on."""

import json
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from lightfit.errors import UsageError

from ..cli.exit_codes import message
from .space import Range, Space
from .trials import Score, Search, minimised, run_trial

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
STARTUP_TRIALS, WARM_UP_EPOCHS = 5, 1  # before trials are ended early


def search_by_optuna(search: Search, space: Space, *, trials: int, seed: int) -> tuple[dict[str, Any], Score, int]:
    """Runs trials till there are as many as asked for; returns the best one's values and score, and their number.

    Args:
        search: what all trials have in common.
        space: what is tried.
        trials: number of trials in all, those of earlier calls included.
        seed: seed of what is tried.

    Raises:
        UsageError: the study is of another task or another space, or no trial gave a score.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = open_study(search, space, seed)
    for left in study.get_trials(states=(TrialState.RUNNING,), deepcopy=False):
        study.tell(left.number, state=TrialState.FAIL)  # of a search that was killed
    if done := _ended(study):
        print(f"going on with {done} trials of '{search.folder / 'study.db'}'", flush=True)
    failed = 0
    while _ended(study) < trials:
        trial = study.ask()
        try:
            _try(study, trial, search, space)
        except Exception as error:
            failed += 1
            if failed > trials // 2:
                raise UsageError(f"{failed} trials failed, the last one with: {message(error)}") from error
        print(_line(study, trial.number), flush=True)
    if not study.get_trials(states=(TrialState.COMPLETE,), deepcopy=False):
        raise UsageError("no trial came to its end, so there is no best one: ask for more --trials")
    mode = study.user_attrs["mode"]
    # What was minimised is the metric or its negative, so that the same gives the metric again.
    score = Score(minimised(study.best_value, mode), study.user_attrs["monitor"], mode)
    return dict(study.best_params), score, _ended(study)


def _try(study: optuna.Study, trial: optuna.Trial, search: Search, space: Space) -> None:
    values = {key: _suggest(trial, key, tried) for key, tried in space.items()}

    def report(value: float, epoch: int, mode: str) -> None:
        trial.report(minimised(value, mode), epoch)
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
            raise KeyboardInterrupt("interrupted; the same command goes on with the trials that ended") from None
        raise
    study.set_user_attr("monitor", score.monitor)
    study.set_user_attr("mode", score.mode)
    study.tell(trial, minimised(score.value, score.mode))


def _ended(study: optuna.Study) -> int:
    return len(study.get_trials(states=ENDED, deepcopy=False))


def open_study(search: Search, space: Space, seed: int) -> optuna.Study:
    """The study in the search's folder, begun if there is none. It minimises: a metric whose mode is max, its negative.

    Raises:
        UsageError: the file is no study, or of another task, other arguments or another space.
    """
    path = search.folder / "study.db"
    own = {"task": search.task, "arguments": list(search.args), "space": json.loads(json.dumps(space))}
    try:
        study = optuna.create_study(storage=f"sqlite:///{path}", study_name="lightfit", load_if_exists=True)
    except (SQLAlchemyError, RuntimeError, ValueError) as error:
        raise UsageError(f"'{path}' is no study of Optuna: {' '.join(str(error).split())[:200]}") from error
    known = study.user_attrs
    for name, value in own.items():
        if name in known and known[name] != value:
            raise UsageError(
                f"'{path}' is of another search: its {name} {known[name]}, and here {value}. Choose another --output"
            )
        study.set_user_attr(name, value)
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), n_startup_trials=STARTUP_TRIALS)
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARM_UP_EPOCHS)
    return study


def _suggest(trial: optuna.Trial, key: str, tried: Range | list[Any]) -> Any:
    if isinstance(tried, list):
        return trial.suggest_categorical(key, tried)
    if tried.whole:
        return trial.suggest_int(key, int(tried.low), int(tried.high), log=tried.log)
    return trial.suggest_float(key, tried.low, tried.high, log=tried.log)


def _line(study: optuna.Study, number: int) -> str:
    trial = study.trials[number]
    values = ", ".join(f"{key} {_short(value)}" for key, value in trial.params.items())
    if trial.state == TrialState.COMPLETE:
        result = f"{study.user_attrs['monitor']} {minimised(trial.value or 0.0, study.user_attrs['mode']):.4f}"
    elif trial.state == TrialState.PRUNED:
        result = f"ended after epoch {trial.last_step}, behind the others"
    else:
        result = "failed"
    return f"trial {number}: {values}: {result}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
