"""The samples on which an exported file is compared with the checkpoint."""

from typing import NamedTuple

import torch
from torch import Tensor

from lightfit.datamodules.samples import Batches
from lightfit.errors import UsageError

from ..evaluation.data import choose_split
from ..inference.inputs import choose_inputs
from ..inference.trained import Trained

NUM_SAMPLES = 64  # whose predictions are compared
MOST_SCORED = 2000  # on which a smaller file is scored


class Chosen(NamedTuple):
    """Encoded samples.

    Args:
        x: some of them, (B, ...).
        where: which they are, in words.
        batches: all samples of the val split; None: the samples are others, without targets.
        source: the data of the val split.
    """

    x: Tensor
    where: str
    batches: Batches | None = None
    source: str = ""

    def take_scored(self) -> tuple[Tensor, Tensor | None, str]:
        """Return the samples to score on, their targets if there are any, and which they are in words."""
        if self.batches is None:
            return self.x, None, self.where
        number = min(MOST_SCORED, len(self.batches))
        rows = torch.linspace(0, len(self.batches) - 1, number, dtype=torch.float64).round().long()
        x, y = self.batches[rows]
        return x, y, f"{number:,} samples of val of {self.source}"


def choose_samples(trained: Trained, inputs: list[str] | None) -> Chosen:
    """Choose samples to compare on.

    Args:
        trained: the checkpoint.
        inputs: inputs as for `predict`; None: samples of the val split, or a dummy batch if the data is not there.

    Raises:
        UsageError: the inputs hold no samples.
    """
    if inputs:
        samples = choose_inputs(trained).read(inputs)[:NUM_SAMPLES]
        return Chosen(trained.codec.encode(samples), f"{len(samples)} samples of {', '.join(inputs)}")
    try:
        chosen = choose_split(trained, [], "val")
    except (OSError, ValueError, LookupError, UsageError) as error:  # without the data, a dummy batch is enough
        print(f"the data is not available ({error}): comparing on a dummy batch of two samples; set --input for others")
        return Chosen(trained.codec.dummy_batch(), "a dummy batch")
    x, _ = chosen.batches[torch.arange(min(NUM_SAMPLES, len(chosen.batches)))]
    return Chosen(x, f"{len(x)} samples of val of {chosen.source}", chosen.batches, chosen.source)
