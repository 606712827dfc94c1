"""Output: what is printed, and which warnings are silenced."""

import logging
import warnings

# Warnings that do not apply to LightFit, each with the reason.
HARMLESS = (
    "LightningCLI's args parameter is intended",  # on purpose: --task and --gpus are parsed before
    "The '.*_dataloader' does not have many workers",  # batches come from memory, workers would be slower
    "The number of training batches .* is smaller than the logging interval",  # metrics are logged once per epoch
    "Checkpoint directory .* exists and is not empty",  # the run folder is created before, or the run is resumed
    "Sparse invariant checks are implicitly disabled",  # torch.optim.Adagrad builds valid sparse tensors
    "Experiment logs directory .* exists",  # the run folder is created before
    "\\s*Unable to serialize instance",  # a default of a function that builds a net; left out of checkpoints
    "\\s*Hit failing import",  # jsonargparse lists all subclasses in the process, also torchkeras' TabM
    "`isinstance\\(treespec, LeafSpec\\)`",  # Lightning on a newer torch
)


def hush() -> None:
    """Silence Lightning's tips and harmless warnings, but not errors and other warnings."""
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message=message)
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


def speak() -> None:
    """Print the log messages of LightFit, such as which pretrained weights were loaded."""
    own = logging.getLogger("lightfit")
    own.setLevel(logging.INFO)
    own.handlers = [StandardOutput()]


def say(text: str) -> None:
    """Print a line, on rank 0 only."""
    from lightfit.lightning import pl  # here: predict.py imports this file before Lightning

    pl.utilities.rank_zero_only(print)(text, flush=True)


class StandardOutput(logging.Handler):
    """Log handler that prints messages to standard output, without date and level."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message."""
        say(self.format(record))
