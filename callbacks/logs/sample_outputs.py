"""The predictions of an evaluation for each sample, in the order of the data."""

from typing import Any

import torch
from torch import Tensor

from lightfit.lightning import OneLightning, pl


class SampleOutputs(OneLightning, pl.Callback):
    """Keeps what `test_step` returns for each sample, and the batch's truth as `y`.

    One of `forecast`, `prediction` (of sets of labels, or of numbers), or `preds`, probabilities (N, num_classes), with
    `target`, labels (N,).

    With several ranks the first one gets those of all, in the order of the data, where each took every n-th sample.

    Attributes:
        outputs: by name, each (N, ...), on the CPU; empty before a test, and for steps that return none of them.
    """

    def __init__(self) -> None:
        self.outputs: dict[str, Tensor] = {}
        self._batches: list[dict[str, Tensor]] = []

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Clear the outputs of an earlier test."""
        self._batches = []

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a batch."""
        y = batch[1] if isinstance(batch, (tuple, list)) else None
        if not isinstance(outputs, dict) or not isinstance(y, Tensor):
            return
        kept = {"y": y}
        own = next((name for name in ("forecast", "prediction") if name in outputs), None)
        if own is not None:  # preds and target are then for metrics alone
            kept[own] = outputs[own]
        elif {"preds", "target"} <= set(outputs):
            from ..pictures.confusion import get_scores  # here, as it brings matplotlib

            kept["preds"], kept["target"] = get_scores(outputs)
        self._batches.append({name: rows.detach().cpu() for name, rows in kept.items()})

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Concatenate the batches, and gather them from all ranks."""
        own = {name: torch.cat([batch[name] for batch in self._batches]) for name in (self._batches or [{}])[0]}
        self._batches = []
        if trainer.world_size == 1:
            self.outputs = own
            return
        received: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(received, own)
        self.outputs = restore_data_order(received) if trainer.is_global_zero else {}


def restore_data_order(shares: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Restore the order of the data from the ranks' rows: rank 0 has samples 0, n, 2n, ..., rank 1 has 1, n + 1, ..."""
    shares = [share for share in shares if share]  # a rank may have had none
    if not shares:
        return {}
    num_samples = sum(len(share["y"]) for share in shares)
    order = torch.cat([torch.arange(first, num_samples, len(shares)) for first in range(len(shares))]).argsort()
    return {name: torch.cat([share[name] for share in shares])[order] for name in shares[0]}
