"""Processes that the trainer has begun."""

import os
import threading
import time

from pytorch_lightning import Trainer
from pytorch_lightning.plugins.environments import LightningEnvironment

LOOKED_S = 1.0


def is_child(trainer: Trainer) -> bool:
    """Whether this is a process that another one of the run has begun, by the same command."""
    environment = trainer._accelerator_connector.cluster_environment  # others, as SLURM's, have begun them all
    return isinstance(environment, LightningEnvironment) and trainer.local_rank > 0


def end_with_parent() -> None:
    """Ends this process when the one that began it has ended, however: it would wait for it for ever."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOKED_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
