"""Losses that are no numbers."""

from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from callbacks.namespace import pl

SHOWN = 20  # sample numbers in a message


class NonFiniteLoss(ValueError):  # noqa: N818 - as it is called
    """The training loss became NaN or infinite."""


@runtime_checkable
class Numbered(Protocol):
    """A sampler that tells which samples a batch holds."""

    def batch_at(self, epoch: int, number: int) -> Tensor:
        """Their numbers in the training part, (B,) int64."""


class Place(NamedTuple):
    """Where in a training a batch is."""

    step: int
    epoch: int
    batch_idx: int

    @classmethod
    def now(cls, trainer: pl.Trainer) -> "Place":
        """That of the batch that is computed."""
        return cls(trainer.global_step, trainer.current_epoch, trainer.fit_loop.batch_idx)

    def in_words(self, trainer: pl.Trainer) -> str:
        """With the numbers of its samples, which take a look at the whole epoch's order."""
        place = f"step {self.step} (epoch {self.epoch}, batch {self.batch_idx})"
        sampler = getattr(trainer.train_dataloader, "sampler", None)
        if not isinstance(sampler, Numbered):
            return place
        numbers = sampler.batch_at(self.epoch, self.batch_idx).tolist()
        more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
        return f"{place}, training samples {', '.join(map(str, numbers[:SHOWN]))}{more}"


class FiniteLoss(pl.Callback):
    """Ends a run, or leaves the batch out, when the training loss is NaN or infinite: before the weights become so too.

    On a GPU the loss is read while the next step is computed, so that no step waits for it; a run that is to end does
    so one step later.

    Args:
        on_nan: stop, with an error that says which samples; or skip, with a line.

    Raises:
        NonFiniteLoss: in training.
    """

    def __init__(self, on_nan: Literal["stop", "skip"] = "stop") -> None:
        if on_nan not in ("stop", "skip"):
            raise ValueError(f"expected on_nan as stop or skip, received {on_nan}")
        self.on_nan = on_nan
        self.num_skipped = 0
        self._skips = False  # the step that is under way
        self._finite: Tensor | None = None  # the last loss that was
        self._waiting: tuple[Any, Tensor, Place] | None = None  # on a GPU: its event, the loss, and where that was

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Looks at the loss."""
        loss = loss.detach()
        if loss.device.type == "cuda" and self.on_nan == "stop":
            self._look_back(trainer)
            event = torch.cuda.Event()
            copied = loss.to("cpu", non_blocking=True)
            event.record()
            self._waiting = event, copied, Place.now(trainer)
            return
        finite = bool(torch.isfinite(loss))
        if self.on_nan == "skip":
            self._skip(trainer, pl_module, finite)
        elif not finite:
            raise NonFiniteLoss(self._message(loss, Place.now(trainer).in_words(trainer)))
        self._finite = loss if finite else self._finite

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        """Takes the gradients of a batch that is left out from the optimizer, which then changes nothing."""
        if self._skips:
            for parameter in pl_module.parameters():
                parameter.grad = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks at the last loss, and says how many batches were left out."""
        self._look_back(trainer)
        if self.num_skipped and trainer.is_global_zero:
            print(f"{self.num_skipped} batches were left out, as their loss was no number")

    def _skip(self, trainer: pl.Trainer, pl_module: Any, finite: bool) -> None:
        self._skips = not trainer.strategy.reduce_boolean_decision(finite)  # the gradients of one are in those of all
        if self._skips:
            self.num_skipped += 1
            pl_module.forget_batch()
            if trainer.is_global_zero:
                print(f"left out, as its loss is no number: {Place.now(trainer).in_words(trainer)}")

    def _look_back(self, trainer: pl.Trainer) -> None:
        if self._waiting is not None:
            event, loss, place = self._waiting
            self._waiting = None
            event.synchronize()
            if not torch.isfinite(loss):
                raise NonFiniteLoss(self._message(loss, place.in_words(trainer)))
            self._finite = loss

    def _message(self, loss: Tensor, place: str) -> str:
        last = (
            "there was no finite one" if self._finite is None else f"the last finite one was {float(self._finite):.4g}"
        )
        return (
            f"the training loss became {float(loss)} at {place}; {last}. Look at these samples, try a smaller "
            "--model.lr or --trainer.gradient_clip_val 1, or leave such batches out by --on_nan skip"
        )
