"""What is said at the end of a run."""

import shlex
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from lightfit.datamodules import DataModule
from lightfit.lightning import pl
from lightfit.lightning_modules import LightModel
from lightfit.trust import is_known, packages_of, untrusted_names

from ..cli.command import from_here, how_to_run


def report(
    trainer: pl.Trainer, model: LightModel, data: DataModule, *, seconds: float, test_scores: dict[str, float]
) -> None:
    """Prints the best score, what the data has to remark, where everything is, and the commands that come next."""
    print(f"trained to epoch {trainer.current_epoch}, {trainer.global_step} steps, in {seconds:.1f} s")
    epoch, val_scores = best_epoch(trainer, model.history)
    if val_scores:
        print(f"best epoch {epoch}: {_in_words(val_scores)}")
    if test_scores:
        print(f"its test part: {_in_words(test_scores)}")
    for line in data.remarks(val_scores | test_scores):
        print(line)
    checkpoint = trainer.checkpoint_callback
    if not isinstance(checkpoint, pl.callbacks.ModelCheckpoint) or not checkpoint.best_model_path:
        return
    path = from_here(Path(checkpoint.best_model_path))
    print(f"checkpoint: {path}\n\nnext:")
    if trainer.logger is not None:
        print(f"  tensorboard --logdir {from_here(Path(trainer.logger.save_dir or '.'))}")
    named = {"model": dict(model.hparams), "data": dict(data.hparams)}
    # Classes and functions of the user's own.
    own = [*untrusted_names(named), *filter(lambda name: not is_known(name), data.imported_names)]
    trust = "".join(f" --trust {name}" for name in packages_of(own))
    for script, words in (("evaluate", ""), ("predict", f" {shlex.quote(data.example_input)}")):
        print(f"  {how_to_run(script)} {shlex.quote(str(path))}{words}{trust}")


def best_epoch(trainer: pl.Trainer, history: pd.DataFrame) -> tuple[int, dict[str, float]]:
    """The epoch whose checkpoint was kept as the best, and its scores in validation; none where there is no such."""
    checkpoint = trainer.checkpoint_callback
    if not isinstance(checkpoint, pl.callbacks.ModelCheckpoint) or checkpoint.monitor not in history:
        return 0, {}
    monitored = history[checkpoint.monitor]
    best = history.iloc[int(monitored.argmin() if checkpoint.mode == "min" else monitored.argmax())]
    return int(best["epoch"]), {name: float(best[name]) for name in history.columns if name.startswith("val_")}


def _in_words(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in scores.items())


def how_to_go_on(
    trainer: pl.Trainer, keeper: pl.callbacks.Checkpoint | None, command: Sequence[str], number: int
) -> str:
    """What to say of a run that a signal ended: where it stopped, and what to type to go on.

    Args:
        trainer: the trainer.
        keeper: what has saved its checkpoints.
        command: what was typed.
        number: the signal's.
    """
    name = signal.Signals(number).name
    stopped = f"stopped by {name} in epoch {trainer.current_epoch}, after step {trainer.global_step}"
    last = keeper.last_model_path if isinstance(keeper, pl.callbacks.ModelCheckpoint) else ""
    if not last or not Path(last).is_file():
        return f"{stopped}; nothing was saved yet"
    if not command:  # a part of a search or of a cross-validation, which begin it anew
        return f"{stopped}; saved in {from_here(Path(last))}"
    words = shlex.join([*_without_resuming(command), "--resume", str(from_here(Path(last).parents[1]))])
    return f"{stopped}; saved in {from_here(Path(last))}. To go on:\n  {how_to_run('fit')} {words}"


def _without_resuming(command: Sequence[str]) -> list[str]:
    words, skipped = [], False
    for word in command:
        resumes = word.split("=")[0] in ("--resume", "--ckpt_path", "--init")
        if not skipped and not resumes:
            words.append(word)
        skipped = resumes and "=" not in word  # what follows is its value
    return words
