"""A trainer that only places the work."""

import sys
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer

from scripts.devices import accelerator_and_devices


def quiet_trainer(gpus: str, *, callbacks: list[Callback], **arguments: Any) -> Trainer:
    """A Trainer without logger, checkpoints and summary, and with a progress bar only in a terminal.

    Args:
        gpus: as in `accelerator_and_devices`.
        callbacks: those of its own.
        arguments: other ones of Trainer.
    """
    accelerator, devices = accelerator_and_devices(gpus, torch.cuda.device_count())
    placed: dict[str, Any] = {"accelerator": accelerator, "devices": devices} | arguments
    return Trainer(
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        use_distributed_sampler=False,  # the data's own sampler is exact
        **placed,
    )
