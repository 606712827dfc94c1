"""How checkpoints are written: whole, on the disk, and never in the place of the only good one."""

import errno
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightfit.errors import NonFiniteWeights
from lightfit.files import whole_file
from lightfit.lightning import OneLightning, pl

from .finite_weights import KEY, find_broken_weight

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DurableCheckpoints(OneLightning, pl.plugins.TorchCheckpointIO):
    """Writes a checkpoint under another name, has the disk confirm it, then renames it.

    The former last.ckpt becomes previous.ckpt, for the case that the disk damages the new one later: torch writes a
    checksum of every record into the file, by which damage is found when it is read. Weights that are NaN or infinite
    are not written.

    No callback, but a plugin of the trainer, which then writes the checkpoints of all callbacks so:
    `Trainer(plugins=[DurableCheckpoints()])`. A BestAndLast, CheckpointEvery or StopOnSignal brings it along.
    """

    # Names of buffers that were NaN or infinite before the training, and may stay so; None: it is not known which.
    not_finite_at_start: Collection[str] | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write the file.

        Raises:
            OSError: it could not be written; what was there before is still there.
            NonFiniteWeights: a weight is NaN or infinite; then too.
        """
        path = Path(path)
        if self.not_finite_at_start is not None:
            checkpoint = {**checkpoint, KEY: sorted(self.not_finite_at_start)}
        if (name := find_broken_weight(checkpoint)) is not None:
            raise NonFiniteWeights(_explain_not_finite(path, name))
        if "://" in str(path):  # another file system than the machine's own
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        keep_as = path.with_name(PREVIOUS) if path.name == LAST else None
        try:
            # An open file, not a path: torch's own writer does not say why it could not write.
            with whole_file(path, durable=True, keep_as=keep_as) as partial, partial.open("wb") as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            # torch's writer says no more than that the file is shorter than it should be.
            if getattr(error, "errno", None) in NO_SPACE or "inline_container" in str(error):
                raise OSError(_explain_no_space(path, checkpoint)) from error
            raise


def write_durably(trainer: pl.Trainer) -> None:
    """Have a trainer's checkpoints written by `DurableCheckpoints`, unless it has a custom way to write them."""
    if type(trainer.strategy.checkpoint_io) is pl.plugins.TorchCheckpointIO:
        trainer.strategy.checkpoint_io = DurableCheckpoints()


def _explain_not_finite(path: Path, name: str) -> str:
    there = sorted(path.parent.glob("*.ckpt"), key=lambda file: (file.name == LAST, file.stat().st_mtime))
    kept = "nothing was saved before: train again"
    if there:
        kept = f"the last good one is '{there[-1]}'. Resume from it with `gradient_clip_val` 1, or train again"
    return (
        f"the weights became NaN or infinite ('{name}' first), and the checkpoint '{path}' was not written; {kept} "
        "with a smaller `lr`"
    )


def _explain_no_space(path: Path, checkpoint: dict[str, Any]) -> str:
    needed = sum(tensor.numel() * tensor.element_size() for tensor in _find_tensors(checkpoint)) / 1e6
    free = shutil.disk_usage(path.parent).free / 1e6
    there = sorted(file.name for file in path.parent.glob("*.ckpt"))
    kept = f"what was saved before is whole ({', '.join(there)})" if there else "nothing was saved before"
    return (
        f"no room for the checkpoint '{path}': it needs {needed:.1f} MB, and {free:.1f} MB are free there, or "
        f"less by a quota; {kept}. Make room, then resume the run"
    )


def _find_tensors(item: Any) -> Iterator[Tensor]:
    if isinstance(item, Tensor):
        yield item
    elif isinstance(item, (dict, list, tuple)):
        for value in item.values() if isinstance(item, dict) else item:
            yield from _find_tensors(value)
