"""Going on with a run: in its own folder, with its own values."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from lightfit.callbacks.checkpoints.durable import LAST, PREVIOUS
from lightfit.callbacks.checkpoints.finite_weights import find_broken_weight
from lightfit.checkpoint import read_checkpoint
from lightfit.errors import UsageError
from lightfit.lightning_modules.light_model import OLD_NAMES

from ..cli.keys import TOLD, flat
from ..cli.lightning_parser import LightningArgumentParser, SaveConfigCallback
from .run_folder import has_checkpoint, newest_run, run_of

FREE = ("batch_size", "num_workers", "cache_bytes")  # values of a run that may change when it goes on


class RunConfig(SaveConfigCallback):
    """Saves the configuration of the run as a whole, which a new run can be started from: without what resumes it."""

    def __init__(self, parser: LightningArgumentParser, config: Namespace, **kwargs: Any) -> None:
        config = config.clone()
        config.ckpt_path = config.tune = None
        _set_folder(config, version=None)
        super().__init__(parser, config, **kwargs)


def checkpoint_of(resume: str, config: Namespace) -> str | None:
    """The checkpoint that `--resume` means; None where there is none yet.

    Args:
        resume: `auto`, the newest run in the folder that the configuration's logger writes into; or a run's folder.
        config: the configuration.

    Raises:
        UsageError: the folder is none of a run.
    """
    if resume == "auto":
        logger = _logger(config)
        arguments = logger.init_args if isinstance(logger, Namespace) else Namespace()
        run = newest_run(Path(arguments.get("save_dir", "runs")) / str(arguments.get("name", "")))
        return None if run is None else str(run / "checkpoints" / LAST)
    run = run_of(Path(resume)) if resume.endswith(".ckpt") else Path(resume)
    if not has_checkpoint(run):
        raise UsageError(f"'{run}' is no run to go on with: expected --resume auto, or runs/<task>/version_N")
    return resume if resume.endswith(".ckpt") else str(run / "checkpoints" / LAST)


def read_usable(path: Path) -> tuple[Path, dict[str, Any], str]:
    """A checkpoint that is whole and finite, and what is in it: in the place of another last.ckpt the one before.

    Returns:
        Its path, its contents, and a line about what was wrong with the one that was asked for, if it is another.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or its weights are NaN or infinite, and so are those before it.
    """
    try:
        return path, _read_finite(path), ""
    except (FileNotFoundError, ValueError) as error:
        if path.name != LAST:
            raise
        best = sorted(path.parent.glob("best-*.ckpt"), reverse=True)  # by the epoch in the name
        for other in (path.with_name(PREVIOUS), *best):
            with suppress(FileNotFoundError, ValueError):
                return other, _read_finite(other), f"{error}; going on from '{other}' in its place"
        raise


def _read_finite(path: Path) -> dict[str, Any]:
    checkpoint = read_checkpoint(path)
    if (name := find_broken_weight(checkpoint)) is not None:
        raise ValueError(
            f"'{path}' holds weights that are NaN or infinite ('{name}' first), from which no training can go on: "
            "take an earlier one from its folder"
        )
    return checkpoint


def go_on_in(checkpoint: Path, config: Namespace) -> None:
    """Lets the logger of a configuration write into the run folder that the checkpoint lies in, if it lies in one."""
    folder = checkpoint.parent.parent
    if checkpoint.parent.name == "checkpoints" and (folder / "config.yaml").is_file():
        save_dir, name = folder.parent.parent, folder.parent.name
        _set_folder(config, save_dir=str(save_dir), name=name, version=folder.name)


def going_on(checkpoint: Mapping[str, Any], path: str, seconds: float) -> str:
    """A line: the epoch from which a run goes on, and how long its checkpoint took to read."""
    epoch = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    return f"going on from epoch {epoch}, step {checkpoint['global_step']}, of '{path}', read in {seconds:.1f} s"


def other_batches(checkpoint: Mapping[str, Any], batch_size: int, world_size: int) -> str:
    """A line where batches are of another size than in the run so far, on all processes together; else nothing."""
    loaders = checkpoint["loops"]["fit_loop"]["state_dict"].get("combined_loader") or [{}]
    former, now = loaders[0].get("global_batch_size"), batch_size * world_size
    if former in (None, now):
        return ""
    return (
        f"a step has {now} samples now ({world_size} x {batch_size}), and had {former} before: the same order of "
        "samples, from the first that no step has seen. "
        f"--data.batch_size {max(former // world_size, 1)} keeps their number"
    )


def _set_folder(config: Namespace, **values: str | None) -> None:
    logger = _logger(config)
    if isinstance(logger, Namespace) and "init_args" in logger:
        for name, value in values.items():
            if name in logger.init_args:
                logger.init_args[name] = value


def _logger(config: Namespace) -> Any:
    logger = config.trainer.logger
    return logger[0] if isinstance(logger, list) and logger else logger  # TensorBoard's, before those of flags


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
    for old, new in OLD_NAMES.items():
        if asked.get(old) is not None and new in asked:
            asked[new] = asked.pop(old)
        if old in known and new in asked:
            known[new] = known.pop(old)
    # The data tells some when it is read, which it has not been yet; how many samples and workers is the machine's.
    for name in (*TOLD, *FREE):
        asked.pop(name, None)
    changed = [name for name in asked if name in known and asked[name] != known[name]]
    if changed:
        values = "; ".join(f"--{section}.{name} {asked[name]}, the checkpoint has {known[name]}" for name in changed)
        raise UsageError(
            f"a resumed run keeps the checkpoint's values, other ones were asked for: {values}. Leave them out to go "
            "on, or leave out --ckpt_path to train anew"
        )
