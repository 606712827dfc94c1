"""The report that is printed at the end of a run, and of a run stopped by a signal."""

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lightfit.datamodules import DataModule
from lightfit.lightning import pl
from lightfit.lightning_modules import LightModel
from lightfit.platforms import join_command
from lightfit.trust import is_known, packages_of, untrusted_names

from ..cli.command import format_command, shorten_path
from ..cli.score_format import format_score

if TYPE_CHECKING:
    from ..evaluation.result import Evaluation


def report(
    trainer: pl.Trainer,
    model: LightModel,
    data: pl.LightningDataModule,
    *,
    seconds: float,
    evaluations: "Mapping[str, Evaluation]",
) -> None:
    """Print the best scores, remarks on the data, paths of the results, and the next commands.

    Args:
        trainer: the trainer.
        model: the model.
        data: the data, set up.
        seconds: duration of the training, in seconds.
        evaluations: evaluations of the best checkpoint, by split.
    """
    print(f"trained to epoch {trainer.current_epoch}, {trainer.global_step} steps, in {seconds:.1f} s")
    epoch, val_scores = find_best_epoch(trainer, model.history)
    test_scores = _select_logged(evaluations, "test")
    if "val" in evaluations:
        meaningless = {f"val_{name}" for name in evaluations["val"].meaningless}
        if meaningless & set(val_scores):  # what replaces them is not in the history
            added = {
                name: value for name, value in _select_logged(evaluations, "val").items() if name not in val_scores
            }
            val_scores = {name: value for name, value in val_scores.items() if name not in meaningless} | added
    if val_scores:
        print(f"best epoch {epoch}: {_format_scores(val_scores)}")
    if test_scores:
        print(f"its test split: {_format_scores(test_scores)}")
    if isinstance(data, DataModule):
        for line in list_remarks(evaluations) or data.remarks(val_scores | test_scores):
            print(line)
    checkpoint = trainer.checkpoint_callback
    if not isinstance(checkpoint, pl.callbacks.ModelCheckpoint) or not checkpoint.best_model_path:
        return
    path = shorten_path(Path(checkpoint.best_model_path))
    print(f"checkpoint: {path}\n\nnext:")
    if trainer.logger is not None:
        print(f"  tensorboard --logdir {shorten_path(Path(trainer.logger.save_dir or '.'))}")
    if not isinstance(data, DataModule):
        print(
            f"  {type(data).__name__} has no codec, so predict, evaluate, export and serve cannot encode raw inputs: "
            "derive it from lightfit.DataModule, and define read() and fit_codec()"
        )
        return
    trust = write_trust_flags(model, data)
    for script, words in (("evaluate", ""), ("predict", f" {join_command([choose_example(data)])}")):
        print(f"  {format_command(script)} {join_command([str(path)])}{words}{trust}")


def write_trust_flags(model: LightModel, data: DataModule) -> str:
    """Return the flags by which commands may import the run's own classes and functions, such as ` --trust mine`."""
    named = {"model": dict(model.hparams), "data": dict(data.hparams)}
    codec = type(data.codec)
    custom = [*untrusted_names(named), f"{codec.__module__}.{codec.__qualname__}", *data.imported_names]
    return "".join(f" --trust {name}" for name in packages_of([name for name in custom if not is_known(name)]))


def list_remarks(evaluations: "Mapping[str, Evaluation]") -> list[str]:
    """Return what the evaluations remark on; warnings only of the first one, which the tables of the run are of."""
    lines = [
        line
        for index, evaluation in enumerate(evaluations.values())
        for line in evaluation.remarks
        if not (index and line.startswith("warning"))
    ]
    return list(dict.fromkeys(lines))


def find_best_epoch(trainer: pl.Trainer, history: pd.DataFrame) -> tuple[int, dict[str, float]]:
    """Return the epoch of the best checkpoint and its validation scores; 0 and no scores without a checkpoint."""
    checkpoint = trainer.checkpoint_callback
    if not isinstance(checkpoint, pl.callbacks.ModelCheckpoint):
        return 0, {}
    monitor = checkpoint.monitor
    if monitor is None or monitor not in history:
        return 0, {}
    monitored = history[monitor]
    best = history.iloc[int(monitored.argmin() if checkpoint.mode == "min" else monitored.argmax())]
    names = [name for name in history.columns if name.startswith("val_")] or [monitor]  # without val
    return int(best["epoch"]), {name: float(best[name]) for name in names}


def describe(data: pl.LightningDataModule) -> str:
    """Return a summary of the data on one line."""
    if isinstance(data, DataModule):
        return data.describe()
    return f"{type(data).__module__}.{type(data).__name__}"


def list_findings(data: pl.LightningDataModule) -> list[str]:
    """Return what was found in the raw data, and what may be wrong with it, as lines."""
    return data.loaded.findings.lines() if isinstance(data, DataModule) else []


def choose_example(data: DataModule) -> str:
    """Return an example input for the predict command: from the data if it has files, else a placeholder."""
    if data.codec.domain == "text":
        return "A text of your choice"
    if data.codec.domain == "series":
        return str(data.raw_path())  # to forecast the steps after its end
    split = "test" if "test" in data.splits else "val"
    place = (data.find_places(split) or [""])[-1]
    paths = (Path(data.source) / place, Path(place))
    found = next((path for path in paths if path.is_file()), None)
    return str(found or ("picture.jpg" if data.codec.domain == "images" else "FILE"))


def _format_scores(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {format_score(value)}" for name, value in scores.items())


def _select_logged(evaluations: "Mapping[str, Evaluation]", split: str) -> dict[str, float]:
    """Return the scores that the model logs, and what stands in the place of those that say nothing, by their names."""
    if split not in evaluations:
        return {}
    evaluation = evaluations[split]
    return {f"{split}_{name}": evaluation.metrics[name] for name in evaluation.logged}


def describe_stop(
    trainer: pl.Trainer, checkpoint: pl.callbacks.Checkpoint | None, command: Sequence[str], signal_number: int
) -> str:
    """Return a message on a run stopped by a signal: where it stopped, and the command that resumes it.

    Args:
        trainer: the trainer.
        checkpoint: the checkpoint callback.
        command: the command line of the run.
        signal_number: number of the signal, as in the module `signal`.
    """
    name = signal.Signals(signal_number).name
    stopped = f"stopped by {name} in epoch {trainer.current_epoch}, after step {trainer.global_step}"
    last = checkpoint.last_model_path if isinstance(checkpoint, pl.callbacks.ModelCheckpoint) else ""
    if not last or not Path(last).is_file():
        return f"{stopped}; nothing was saved yet"
    if not command:  # a run of a search or a cross-validation, which would train it again
        return f"{stopped}; saved in {shorten_path(Path(last))}"
    words = join_command([*_drop_resume_flags(command), "--resume", str(shorten_path(Path(last).parents[1]))])
    return f"{stopped}; saved in {shorten_path(Path(last))}. To resume:\n  {format_command('fit')} {words}"


def _drop_resume_flags(command: Sequence[str]) -> list[str]:
    words, skipped = [], False
    for word in command:
        resumes = word.split("=")[0] in ("--resume", "--ckpt_path", "--init")
        if not skipped and not resumes:
            words.append(word)
        skipped = resumes and "=" not in word  # the next word is its value
    return words
