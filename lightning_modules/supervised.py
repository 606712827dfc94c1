"""What models of labelled samples have in common: optimizer, schedule, fine-tuning, and what is fitted on val."""

import logging
import time
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from typing_extensions import Self

from .distributed import gather_batches
from .finetuning import (
    FineTuning,
    freeze_modules,
    group_parameters,
    list_backbone_parameters,
    load_pretrained,
    read_pretrained_state,
)
from .light_model import LightModel
from .optimizers import add_schedule, choose_warmup, find_optimizer_class, make_optimizer

log = logging.getLogger(__name__)


class SupervisedModel(LightModel):
    """A net that is trained on (x, y) by an optimizer with a schedule; a base class.

    A subclass with `fits_on_val` learns something from the validation split: what its `shared_step` passes to
    `keep_for_fit` in a validation of a fit comes to `fit_on_val`, of all ranks, before the epoch's checkpoint is saved.

    Args:
        net: the net.
        lr: learning rate, the highest of the schedule.
        optimizer: name of a class of torch.optim: Adam, AdamW, SGD, Adagrad, ...
        weight_decay: L2 penalty (decoupled in AdamW).
        momentum: Nesterov's, for SGD.
        schedule: constant, cosine or one_cycle.
        warmup: fraction of all steps in which the rate rises from 0 before a constant or cosine schedule.
        finetune: pretrained weights, and how long to freeze them.
        metrics: torchmetrics by name.
        warm_up: the old name of `warmup`, which still works.
    """

    net: nn.Module
    target_kind: ClassVar[str | None] = None  # kind of the codec's target that the model is for; None: any

    def __init__(
        self,
        net: nn.Module,
        *,
        lr: float = 1e-3,
        optimizer: str = "Adam",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        schedule: str = "constant",
        warmup: float = 0.0,
        finetune: FineTuning = FineTuning(),
        metrics: dict[str, Metric] | None = None,
        warm_up: float | None = None,
    ) -> None:
        super().__init__(net, metrics=metrics)
        self.lr = lr
        self.optimizer = find_optimizer_class(optimizer)
        self.weight_decay = weight_decay
        self.momentum = momentum
        self.schedule = schedule
        self.warmup = choose_warmup(warmup, warm_up)
        # A dict where it comes from the plain data of a checkpoint, around a custom net.
        self.finetune = FineTuning(**finetune) if isinstance(finetune, dict) else finetune
        self._backbone = list_backbone_parameters(net) if self.finetune.freeze_epochs else []
        self._frozen = False
        self._val_outputs: list[tuple[Tensor, ...]] | None = None  # in a validation of a fit, by the batch

    @property
    def fits_on_val(self) -> bool:
        """Return whether `fit_on_val` learns anything; the base class returns False."""
        return False

    @property
    def is_fitting_on_val(self) -> bool:
        """Return whether a validation of a fit is running, at whose end `fit_on_val` is called."""
        return self._val_outputs is not None

    def keep_for_fit(self, *rows: Tensor) -> None:
        """Keep tensors of a validation batch, (B, ...) each, for `fit_on_val`; nothing outside a fit's validation."""
        if self._val_outputs is not None:
            self._val_outputs.append(tuple(item.detach() for item in rows))

    def fit_on_val(self, *rows: Tensor) -> None:
        """Learn from the validation split; the base class learns nothing.

        Args:
            rows: what `keep_for_fit` received, of all samples and ranks, (N, ...) each.
        """

    def predict_step(self, batch: Any, batch_idx: int = 0, dataloader_idx: int = 0) -> Tensor:
        """Predict the samples of a batch, with what was learned from the validation split."""
        return self.predict_from(self(batch[0] if isinstance(batch, (tuple, list)) else batch))

    def predict_from(self, output: Tensor) -> Tensor:
        """Turn the output of the net, (B, ...), into predictions (B, ...) float32."""
        raise NotImplementedError(f"{type(self).__name__} must define predict_from(output)")

    def register_fitted(self, **defaults: Tensor) -> None:
        """Register buffers for what is fitted on val; checkpoints without them keep the default values.

        Args:
            defaults: their values before the first fit.
        """
        for name, value in defaults.items():
            self.register_buffer(name, value)
        self.register_load_state_dict_pre_hook(_make_adder(defaults))

    def _check_output(self, output: Tensor, y: Tensor) -> Tensor:
        """Return targets as (B, K) float32, where the net's output has that shape.

        Raises:
            ValueError: it has another one.
        """
        y = y.reshape(len(y), -1).to(output.dtype if output.is_floating_point() else torch.float32)
        if output.shape != y.shape:
            raise ValueError(
                f"{type(self.net).__name__} returned {tuple(output.shape)} for targets {tuple(y.shape)}: expected an "
                "output for each label or number; a net takes their count as its argument `num_outputs`"
            )
        return y

    def _at_validation_epoch_start(self) -> None:
        """Keep what `fit_on_val` needs from here on, in a validation of a fit."""
        super()._at_validation_epoch_start()
        fitting = self.trainer.state.fn == "fit" and not self.trainer.sanity_checking
        self._val_outputs = [] if fitting and self.fits_on_val else None

    def _at_validation_epoch_end(self) -> None:
        """Learn from the validation split, the same on all ranks."""
        super()._at_validation_epoch_end()
        if self._val_outputs is not None:
            batches, self._val_outputs = list(gather_batches(self._val_outputs)), None
            if batches:
                self.fit_on_val(*(torch.cat([item.cpu() for item in rows]) for rows in zip(*batches, strict=True)))

    def _at_fit_start(self) -> None:
        """Load pretrained weights, unless the run resumes from a checkpoint; the log names them."""
        super()._at_fit_start()
        weights = self.finetune.weights
        if weights is None or self.trainer.ckpt_path:
            return
        started = time.monotonic()
        state = read_pretrained_state(weights, self.net) if self.trainer.local_rank == 0 else None
        self.trainer.strategy.barrier()  # one process of a machine downloads, the others find it done
        loaded = load_pretrained(
            self.net, state or read_pretrained_state(weights, self.net), rewrites=self.finetune.rewrites
        )
        log.info("weights from %s, in %.1f s\n%s", weights, time.monotonic() - started, loaded)

    def _at_train_start(self) -> None:
        """Freeze the backbone where it is to be; here too, as a resumed run may not see its epoch begin."""
        super()._at_train_start()
        self._freeze_backbone()

    def _at_train_epoch_start(self) -> None:
        """Unfreeze the backbone when its time has come."""
        super()._at_train_epoch_start()
        self._freeze_backbone()

    def _freeze_backbone(self) -> None:
        if self.finetune.freeze_epochs:
            self._frozen = self.current_epoch < self.finetune.freeze_epochs
            for parameter in self._backbone:
                parameter.requires_grad_(not self._frozen)
            self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode as of any module; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if mode and self._frozen:
            freeze_modules(self.net)
        return self

    def configure_optimizers(self) -> Any:
        """Build the optimizer over all parameters, with the schedule."""
        parameters: Any = self.parameters()
        if self.finetune.backbone_lr != 1:
            parameters = group_parameters(self.net, lr=self.lr, backbone_lr=self.finetune.backbone_lr)
        optimizer = make_optimizer(
            self.optimizer, parameters, lr=self.lr, weight_decay=self.weight_decay, momentum=self.momentum
        )
        return add_schedule(optimizer, self.schedule, self.trainer, warmup=self.warmup)


def _make_adder(defaults: dict[str, Tensor]) -> Callable[..., None]:
    def add_missing(module: nn.Module, state: dict[str, Any], prefix: str, *args: Any) -> None:
        """Add what a checkpoint does not hold, which was written before it was fitted on val."""
        for name, value in defaults.items():
            state.setdefault(f"{prefix}{name}", value.clone())

    return add_missing
