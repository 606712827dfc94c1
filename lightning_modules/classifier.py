"""Classification in any domain: loss, accuracy, optimizer, schedule."""

import logging
import time
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from typing_extensions import Self

from .finetuning import (
    FineTuning,
    freeze_modules,
    group_parameters,
    list_backbone_parameters,
    load_pretrained,
    read_pretrained_state,
)
from .light_model import LightModel
from .losses import classification_loss
from .metrics import accuracy, probabilities
from .optimizers import add_schedule, choose_warmup, find_optimizer_class, make_optimizer

log = logging.getLogger(__name__)


class Classifier(LightModel):
    """A net that gives logits per class, or one logit for two classes.

    Args:
        net: the `x` of a batch to logits (B, num_classes), or (B, 1) for two classes.
        lr: learning rate, the highest of the schedule.
        optimizer: name of a class of torch.optim: Adam, AdamW, SGD, Adagrad, ...
        weight_decay: L2 penalty (decoupled in AdamW); not with nets of sparse gradients, such as NaiveBayesBag.
        momentum: Nesterov's, for SGD.
        schedule: constant, cosine (down to 0), or one_cycle (straight up for a quarter of the steps, then down).
        warmup: fraction of all steps in which the rate rises from 0 before a constant or cosine schedule.
        label_smoothing: fraction of the target that is spread over all classes, in [0, 1).
        loss_weights: weight of an error, by class; the data sets it (`class_weights`).
        finetune: pretrained weights, and how long to freeze them.
        metrics: torchmetrics by name, for what is no mean of batches: they see probabilities and labels.
        warm_up: the old name of `warmup`, which still works.
    """

    net: nn.Module
    loss_weights: Tensor | None

    def __init__(
        self,
        net: nn.Module,
        *,
        lr: float = 1e-3,
        optimizer: str = "Adam",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        schedule: Literal["constant", "cosine", "one_cycle"] = "constant",
        warmup: float = 0.0,
        label_smoothing: float = 0.0,
        loss_weights: list[float] | None = None,
        finetune: FineTuning = FineTuning(),
        metrics: dict[str, Metric] | None = None,
        warm_up: float | None = None,
    ) -> None:
        super().__init__(net, metrics=metrics)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"expected label_smoothing in [0, 1), received {label_smoothing}")
        self.lr = lr
        self.optimizer = find_optimizer_class(optimizer)
        self.weight_decay = weight_decay
        self.momentum = momentum
        self.schedule = schedule
        self.warmup = choose_warmup(warmup, warm_up)
        self.label_smoothing = label_smoothing
        # A dict where it comes from the plain data of a checkpoint, around a custom net.
        self.finetune = FineTuning(**finetune) if isinstance(finetune, dict) else finetune
        self._backbone = list_backbone_parameters(net) if self.finetune.freeze_epochs else []
        self._frozen = False
        weights = None if loss_weights is None else torch.tensor(loss_weights)
        self.register_buffer("loss_weights", weights, persistent=False)

    def shared_step(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Compute `loss` and `accuracy`; in evaluation also the probabilities and labels for the metrics."""
        x, y = batch
        logits = self(x)
        smoothing = self.label_smoothing if self.training else 0.0
        loss = classification_loss(logits, y, label_smoothing=smoothing, class_weights=self.loss_weights)
        scores = {"loss": loss, "accuracy": accuracy(logits, y)}
        if self.training:
            return scores
        preds = probabilities(logits)
        return scores | {"preds": preds[:, 1] if logits.shape[1] == 1 else preds, "target": y.reshape(-1).long()}

    def predict_step(self, batch: Any, batch_idx: int = 0, dataloader_idx: int = 0) -> Tensor:
        """Predict probabilities (B, num_classes) float32."""
        return probabilities(self(batch[0] if isinstance(batch, (tuple, list)) else batch))

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


class ImageClassifier(Classifier):
    """A classifier of images: (B, 3, H, W) float32 to logits (B, num_classes), or (B, 1) for two classes."""


class TextClassifier(Classifier):
    """A classifier of texts: word ids (B, T) int64 to logits (B, num_classes), or (B, 1) for two classes."""
