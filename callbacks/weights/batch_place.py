"""Which batches and samples a training is at, for messages."""

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from lightfit.lightning import pl

SHOWN = 20  # indices of samples in a message


@runtime_checkable
class Indexed(Protocol):
    """A sampler that knows which samples a batch holds."""

    def batch_at(self, epoch: int, index: int) -> Tensor:
        """Return their indices in the training split, (B,) int64."""


class Place(NamedTuple):
    """Where in a training a batch is, or the batches whose gradients are summed for a step."""

    step: int
    epoch: int
    batch_idx: int
    num_batches: int = 1  # up to and with that one

    @classmethod
    def now(cls, trainer: pl.Trainer) -> "Place":
        """Return the place of the batch that is computed."""
        return cls(trainer.global_step, trainer.current_epoch, trainer.fit_loop.batch_idx)

    @classmethod
    def of_step(cls, trainer: pl.Trainer) -> "Place":
        """Return the place of all batches of the step that is computed."""
        place = cls.now(trainer)
        # As Lightning counts: it zeroes the gradients at the multiples, so that an epoch's last step may have fewer.
        return place._replace(num_batches=place.batch_idx % trainer.accumulate_grad_batches + 1)

    def describe(self, trainer: pl.Trainer) -> str:
        """Describe the place with the indices of its samples, which cost the order of the whole epoch."""
        batches = range(self.batch_idx - self.num_batches + 1, self.batch_idx + 1)
        named = f"batch {batches[-1]}" if len(batches) == 1 else f"batches {batches[0]} to {batches[-1]}"
        place = f"step {self.step} (epoch {self.epoch}, {named})"
        sampler = getattr(trainer.train_dataloader, "sampler", None)
        if not isinstance(sampler, Indexed):
            return place
        indices = [index for batch in batches for index in sampler.batch_at(self.epoch, batch).tolist()]
        more = f" and {len(indices) - SHOWN} more" if len(indices) > SHOWN else ""
        return f"{place}, training samples {', '.join(map(str, indices[:SHOWN]))}{more}"
