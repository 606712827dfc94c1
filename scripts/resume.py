"""Going on with a run: in its own folder, with its own values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from pytorch_lightning.cli import LightningArgumentParser, SaveConfigCallback

from scripts.errors import UsageError
from scripts.keys import TOLD, flat


class RunConfig(SaveConfigCallback):
    """Saves the configuration of the run as a whole, which a new run can be started from: without what resumes it."""

    def __init__(self, parser: LightningArgumentParser, config: Namespace, **kwargs: Any) -> None:
        config = config.clone()
        config.ckpt_path = config.tune = None
        _set_folder(config, version=None)
        super().__init__(parser, config, **kwargs)


def go_on_in(checkpoint: Path, config: Namespace) -> None:
    """Lets the logger of a configuration write into the run folder that the checkpoint lies in, if it lies in one."""
    folder = checkpoint.parent.parent
    if checkpoint.parent.name == "checkpoints" and (folder / "config.yaml").is_file():
        save_dir, name = folder.parent.parent, folder.parent.name
        _set_folder(config, save_dir=str(save_dir), name=name, version=folder.name)


def going_on(checkpoint: Mapping[str, Any], path: str, seconds: float) -> str:
    """A line: the epoch from which a run goes on, and how long its checkpoint took to read."""
    epoch = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    return f"going on from epoch {epoch} of '{path}', read in {seconds:.1f} s"


def _set_folder(config: Namespace, **values: str | None) -> None:
    logger = config.trainer.logger
    logger = logger[0] if isinstance(logger, list) and logger else logger  # TensorBoard's, before those of flags
    if isinstance(logger, Namespace) and "init_args" in logger:
        for name, value in values.items():
            if name in logger.init_args:
                logger.init_args[name] = value


def refuse_changes(config: Mapping[str, Any], saved: Mapping[str, Any], section: str) -> None:
    """Nothing, where every value of the configuration is the one that was saved.

    Args:
        config: `class_path` and `init_args`.
        saved: the checkpoint's hyper-parameters of the same section.
        section: `model` or `data`, for the message.

    Raises:
        UsageError: a value differs.
    """
    asked = flat({"class_path": config["class_path"], **config.get("init_args", {})})
    known = flat({("class_path" if name == "_class_path" else name): value for name, value in saved.items()})
    for name in TOLD:  # the data tells these when it is read, which it has not been yet
        asked.pop(name, None)
    changed = [name for name in asked if name in known and asked[name] != known[name]]
    if changed:
        values = "; ".join(f"--{section}.{name} {asked[name]}, the checkpoint has {known[name]}" for name in changed)
        raise UsageError(
            f"a resumed run keeps the checkpoint's values, other ones were asked for: {values}. Leave them out to go "
            "on, or leave out --ckpt_path to train anew"
        )
