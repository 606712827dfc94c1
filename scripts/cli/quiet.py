"""What a user need not read."""

import logging
import warnings

# Advice and notes that are right for nobody who trains with LightFit, each with the reason.
HARMLESS = (
    "LightningCLI's args parameter is intended",  # the line is handed over on purpose: --task and --gpus are ours
    "The '.*_dataloader' does not have many workers",  # batches are fetched from memory, workers would slow them
    "The number of training batches .* is smaller than the logging interval",  # logged once per epoch
    "Checkpoint directory .* exists and is not empty",  # the run folder is made beforehand, or the run is resumed
    "Sparse invariant checks are implicitly disabled",  # torch.optim.Adagrad builds its sparse sums itself
    "Experiment logs directory .* exists",  # the run folder is made beforehand
    "`isinstance\\(treespec, LeafSpec\\)`",  # Lightning on a newer torch
)


def hush() -> None:
    """Silences Lightning's tips and harmless warnings; errors and other warnings are heard."""
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message=message)
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


def speak() -> None:
    """Prints what our own modules log, such as what was loaded from pretrained weights."""
    own = logging.getLogger("lightfit")
    own.setLevel(logging.INFO)
    own.handlers = [StandardOutput()]


def say(text: str) -> None:
    """Prints a line, in the first of several processes."""
    from lightfit.lightning import pl  # here: predict.py imports this file before Lightning

    pl.utilities.rank_zero_only(print)(text, flush=True)


class StandardOutput(logging.Handler):
    """Log messages among what is printed, without date and level."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the message."""
        say(self.format(record))
