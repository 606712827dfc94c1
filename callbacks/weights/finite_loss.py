"""Losses and gradients that are NaN or infinite."""

import math
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from lightfit.errors import NonFiniteGradients, NonFiniteLoss
from lightfit.lightning import OneLightning, pl

from ..lightning_internals import get_stored_values, list_logged_sums, restore_logged_sums, scales_gradients
from .batch_place import Place


@runtime_checkable
class Forgetful(Protocol):
    """A model that keeps means of an epoch, from which a batch can be taken."""

    def forget_batch(self) -> None:
        """Remove the last training batch from them."""


class FiniteLoss(OneLightning, pl.Callback):
    """Ends a run, or skips the step, when the training loss or a gradient is NaN or infinite.

    The weights stay finite. For any LightningModule, with manual optimization too: of several optimizers only the step
    of the one whose loss or gradients they are is skipped. What a module logs by `self.log` of a skipped batch does not
    count in the epoch's means; metrics of torchmetrics have seen it. Where the gradients of several batches are summed,
    all of them are skipped: the sum holds the one that is not finite. On a GPU a run ends one step later, so that no
    step waits for the loss, but before anything is saved. In float16 with a gradient scaler, infinite gradients are
    expected: the scaler skips those steps itself.

    Args:
        on_nan: stop, with an error that names the samples; or skip, with a line.

    Raises:
        NonFiniteLoss, NonFiniteGradients: in training.
    """

    def __init__(self, on_nan: Literal["stop", "skip"] = "stop") -> None:
        if on_nan not in ("stop", "skip"):
            raise ValueError(f"expected on_nan as stop or skip, received {on_nan}")
        self.on_nan = on_nan
        self.num_skipped = 0
        self._skips = False  # whether the step that is under way is skipped
        self._finite: Tensor | None = None  # the last loss that was
        # On a GPU: their event, the loss or the largest gradient, and where that was.
        self._waiting: tuple[Any, Tensor, Place] | None = None
        self._waiting_gradients: tuple[Any, Tensor, Place] | None = None
        self._logged: list[tuple[Any, Any]] = []  # sums of what was logged before the batch, where steps are skipped
        self._skips_batch = False

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep what was logged so far, if the batch may be skipped."""
        self._skips_batch = False
        if self.on_nan == "skip":
            self._logged = list_logged_sums(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take a skipped batch out of the means that the module logs by `self.log`."""
        if self._skips_batch:
            restore_logged_sums(trainer, self._logged)

    def on_before_zero_grad(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        """Begin a step: no gradient of an earlier batch is in it."""
        self._skips = False

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Check the loss."""
        loss = loss.detach()
        if self._checks_late(loss):
            self._check_waiting_loss(trainer)
            self._waiting = *_start_copy(loss), Place.now(trainer)
            return
        finite = bool(torch.isfinite(loss).all())
        if self.on_nan == "skip":
            self._skip_batch(trainer, pl_module, finite)
        elif not finite:
            raise NonFiniteLoss(self._explain_loss(trainer, loss, Place.now(trainer)))
        self._finite = loss if finite else self._finite

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        """Check the gradients, and remove those of a skipped step: the optimizer then changes nothing."""
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is None and not self._skips:
            self._check_gradients(trainer, optimizer)
        if self._skips:
            self._skips = False
            self.num_skipped += Place.of_step(trainer).num_batches
            # A fused optimizer has the scaler look at them within its step, which then finds that they are not finite.
            if scaler is None or not scales_gradients(optimizer):
                for parameter in _list_parameters(optimizer):
                    parameter.grad = None

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the last step before it is validated."""
        self._check_all_waiting(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check the last step before it is saved."""
        self._check_all_waiting(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the last step, and print how many batches were skipped."""
        self._check_all_waiting(trainer)
        if self.num_skipped and trainer.is_global_zero:
            print(f"{self.num_skipped} batches were skipped, as their loss or its gradients were NaN or infinite")

    def _checks_late(self, tensor: Tensor) -> bool:
        return tensor.device.type == "cuda" and self.on_nan == "stop"

    def _skip_batch(self, trainer: pl.Trainer, pl_module: Any, finite: bool) -> None:
        if trainer.strategy.reduce_boolean_decision(finite):  # the gradients of one rank are in those of all
            return
        self._skips = self._skips_batch = True
        if isinstance(pl_module, Forgetful):
            pl_module.forget_batch()
        if trainer.is_global_zero:
            print(f"skipped, as its loss is NaN or infinite: {Place.now(trainer).describe(trainer)}")

    def _check_gradients(self, trainer: pl.Trainer, optimizer: Any) -> None:
        gradients = _list_gradients(optimizer)
        if gradients and all(map(self._checks_late, gradients)):
            self._check_waiting_gradients(trainer)
            # The largest one, not the root of the squares: those overflow in float16 where nothing is infinite.
            self._waiting_gradients = *_start_copy(get_total_norm(gradients, math.inf)), Place.of_step(trainer)
            return
        # The root of the squares is five times as fast on the CPU; where it overflowed, each gradient tells.
        finite = bool(torch.isfinite(get_total_norm(gradients))) or all(
            bool(torch.isfinite(gradient).all()) for gradient in gradients
        )
        if self.on_nan == "skip":
            self._skips = not trainer.strategy.reduce_boolean_decision(finite)  # a rank may have some of them
            if self._skips and trainer.is_global_zero:
                place = Place.of_step(trainer).describe(trainer)
                print(f"skipped, as its gradients are NaN or infinite, though its loss is finite: {place}")
        elif not finite:
            self._check_waiting_loss(trainer)  # the loss may be why
            raise NonFiniteGradients(_explain_gradients(Place.of_step(trainer).describe(trainer)))

    def _check_all_waiting(self, trainer: pl.Trainer) -> None:
        self._check_waiting_loss(trainer)
        self._check_waiting_gradients(trainer)

    def _check_waiting_loss(self, trainer: pl.Trainer) -> None:
        if self._waiting is not None:
            event, loss, place = self._waiting
            self._waiting = None
            event.synchronize()
            if not torch.isfinite(loss).all():
                raise NonFiniteLoss(self._explain_loss(trainer, loss, place))
            self._finite = loss

    def _check_waiting_gradients(self, trainer: pl.Trainer) -> None:
        if self._waiting_gradients is not None:
            event, largest, place = self._waiting_gradients
            self._waiting_gradients = None
            event.synchronize()
            if not torch.isfinite(largest):
                raise NonFiniteGradients(_explain_gradients(place.describe(trainer)))

    def _explain_loss(self, trainer: pl.Trainer, loss: Tensor, place: Place) -> str:
        last = "there was no finite one"
        if self._finite is not None:
            scaler = getattr(trainer.precision_plugin, "scaler", None)  # Lightning shows the loss as it scaled it
            scale = 1.0 if scaler is None else scaler.get_scale()
            last = f"the last finite one was {float(self._finite.float().mean()) / scale:.4g}"
        return (
            f"the training loss became {float(loss.float().sum())} at {place.describe(trainer)}; {last}. Look at these "
            "samples, try a smaller `lr` or `gradient_clip_val` 1, or skip such batches with `on_nan` skip"
        )


def _explain_gradients(place: str) -> str:
    # Clipping is no advice here: it divides by the norm, which is NaN or infinite too.
    return (
        f"the gradients became NaN or infinite at {place}, though the loss was finite. Look at these samples, and in "
        "net and loss for functions with an infinite slope (a square root or a power at 0, a logarithm near 0): "
        "add a small constant within them; try a smaller `lr`, or skip such steps with `on_nan` skip"
    )


def _list_parameters(optimizer: Any) -> list[Any]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _list_gradients(optimizer: Any) -> list[Tensor]:
    """Return the gradients that an optimizer is about to use; of sparse ones the stored values."""
    gradients = [parameter.grad for parameter in _list_parameters(optimizer) if parameter.grad is not None]
    stored = [
        get_stored_values(gradient) if gradient.layout == torch.sparse_coo else gradient for gradient in gradients
    ]
    return [gradient for gradient in stored if gradient.numel()]  # an empty one has no largest value


def _start_copy(value: Tensor) -> tuple[torch.cuda.Event, Tensor]:
    """Start a copy to the CPU; return an event, after which it is complete, and the copy."""
    event = torch.cuda.Event()
    copied = value.to("cpu", non_blocking=True)
    event.record()
    return event, copied
