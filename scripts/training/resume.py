"""Resuming a run: in its own folder, with its own configuration."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from lightfit.callbacks.checkpoints.durable import LAST, PREVIOUS
from lightfit.callbacks.checkpoints.finite_weights import find_broken_weight
from lightfit.checkpoint import read_checkpoint
from lightfit.errors import UsageError
from lightfit.lightning_modules.rebuild import OLD_NAMES

from ..cli.keys import MODEL_LINKS, flatten_keys
from ..cli.lightning_parser import LightningArgumentParser, SaveConfigCallback
from .run_folder import find_newest_run, find_run, has_checkpoint

FREE = ("batch_size", "num_workers", "cache_bytes")  # values that may change when a run is resumed


class RunConfig(SaveConfigCallback):
    """Saves the configuration of a run, without the keys that resume it, so that a new run can start from it."""

    def __init__(self, parser: LightningArgumentParser, config: Namespace, **kwargs: Any) -> None:
        config = config.clone()
        config.ckpt_path = config.tune = None
        _set_folder(config, version=None)
        super().__init__(parser, config, **kwargs)


def find_checkpoint(resume: str, config: Namespace) -> str | None:
    """Return the path of the checkpoint to resume from; None if there is none yet.

    Args:
        resume: `auto` for the newest run in the folder that the configuration's logger writes into; or a run folder, or
            a checkpoint.
        config: the configuration.

    Raises:
        UsageError: the folder holds no checkpoint.
    """
    if resume == "auto":
        logger = _get_logger(config)
        arguments = logger.init_args if isinstance(logger, Namespace) else Namespace()
        run = find_newest_run(Path(arguments.get("save_dir", "runs")) / str(arguments.get("name", "")))
        return None if run is None else str(run / "checkpoints" / LAST)
    run = find_run(Path(resume)) if resume.endswith(".ckpt") else Path(resume)
    if not has_checkpoint(run):
        raise UsageError(
            f"'{run}' has no checkpoint to resume from: expected --resume auto, or a run folder runs/<task>/version_N"
        )
    return resume if resume.endswith(".ckpt") else str(run / "checkpoints" / LAST)


def read_usable(path: Path) -> tuple[Path, dict[str, Any], str]:
    """Return a complete and finite checkpoint; for a broken last.ckpt, an earlier one of the same run.

    Returns:
        Its path, its contents, and a message about the broken checkpoint if another one is returned, otherwise "".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or its weights are NaN or infinite, and no earlier one can be used.
    """
    try:
        return path, _read_finite(path), ""
    except (FileNotFoundError, ValueError) as error:
        if path.name != LAST:
            raise
        best = sorted(path.parent.glob("best-*.ckpt"), reverse=True)  # by the epoch in the name
        for other in (path.with_name(PREVIOUS), *best):
            with suppress(FileNotFoundError, ValueError):
                return other, _read_finite(other), f"{error}; resuming from '{other}' instead"
        raise


def _read_finite(path: Path) -> dict[str, Any]:
    checkpoint = read_checkpoint(path)
    if (name := find_broken_weight(checkpoint)) is not None:
        raise ValueError(
            f"'{path}' holds weights that are NaN or infinite ('{name}' first), so training cannot resume from it: "
            "use an earlier checkpoint from its folder"
        )
    return checkpoint


def keep_run_folder(checkpoint: Path, config: Namespace) -> None:
    """Set the logger of a configuration to write into the run folder of the checkpoint, if it lies in one."""
    folder = checkpoint.parent.parent
    if checkpoint.parent.name == "checkpoints" and (folder / "config.yaml").is_file():
        save_dir, name = folder.parent.parent, folder.parent.name
        _set_folder(config, save_dir=str(save_dir), name=name, version=folder.name)


def describe_resume(checkpoint: Mapping[str, Any], path: str, seconds: float) -> str:
    """Return a line with the epoch and step a run resumes from, and how long its checkpoint took to read."""
    epoch = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    return f"resuming from epoch {epoch}, step {checkpoint['global_step']}, of '{path}', read in {seconds:.1f} s"


def describe_batch_change(checkpoint: Mapping[str, Any], batch_size: int, world_size: int) -> str:
    """Return a line if the global batch size differs from that of the run so far; otherwise ""."""
    loaders = checkpoint["loops"]["fit_loop"]["state_dict"].get("combined_loader") or [{}]
    former, now = loaders[0].get("global_batch_size"), batch_size * world_size
    if former in (None, now):
        return ""
    return (
        f"the global batch size is now {now} ({world_size} x {batch_size}), and was {former} before; the order of "
        "samples stays the same, starting at the first sample not seen yet. "
        f"--data.batch_size {max(former // world_size, 1)} keeps the former size"
    )


def _set_folder(config: Namespace, **values: str | None) -> None:
    logger = _get_logger(config)
    if isinstance(logger, Namespace) and "init_args" in logger:
        for name, value in values.items():
            if name in logger.init_args:
                logger.init_args[name] = value


def _get_logger(config: Namespace) -> Any:
    logger = config.trainer.logger
    return logger[0] if isinstance(logger, list) and logger else logger  # TensorBoard's, before those of flags


def refuse_changes(config: Mapping[str, Any], saved: Mapping[str, Any], section: str) -> None:
    """Check that every value of the configuration is the saved one.

    Args:
        config: `class_path` and `init_args`.
        saved: the hyper-parameters of the same section in the checkpoint.
        section: `model` or `data`, for the message.

    Raises:
        UsageError: a value differs.
    """
    asked = flatten_keys({"class_path": config["class_path"], **config.get("init_args", {})})
    known = flatten_keys({("class_path" if name == "_class_path" else name): value for name, value in saved.items()})
    for old, new in OLD_NAMES.items():
        if asked.get(old) is not None and new in asked:
            asked[new] = asked.pop(old)
        if old in known and new in asked:
            known[new] = known.pop(old)
    # MODEL_LINKS is known only after the data is read; FREE depends on the machine.
    for name in (*MODEL_LINKS, *FREE):
        asked.pop(name, None)
    changed = [name for name in asked if name in known and asked[name] != known[name]]
    if changed:
        values = "; ".join(f"--{section}.{name} {asked[name]}, the checkpoint has {known[name]}" for name in changed)
        raise UsageError(
            f"a resumed run keeps the values of its checkpoint, but received others: {values}. Leave them out to "
            "resume, or leave out --resume and --ckpt_path to train from scratch"
        )
