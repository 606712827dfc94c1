"""Classification in any domain: loss, accuracy, and calibrated probabilities."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from .calibration import fit_temperature
from .finetuning import FineTuning
from .losses import classification_loss, is_soft
from .metrics import accuracy, probabilities
from .optimizers import OptimizerChoice, ScheduleChoice
from .supervised import SupervisedModel


class Classifier(SupervisedModel):
    """A net that gives logits per class, or one logit for two classes.

    Args:
        net: the `x` of a batch to logits (B, num_classes), or (B, 1) for two classes.
        lr: learning rate, the highest of the schedule.
        optimizer: name of a class of torch.optim, such as Adam, AdamW or SGD; or the path of any class, with its own
            arguments, such as `betas`.
        weight_decay: L2 penalty (decoupled in AdamW); not with nets of sparse gradients, such as NaiveBayesBag.
        momentum: Nesterov's, for SGD.
        schedule: constant, cosine or linear (down to 0), one_cycle (straight up for a quarter of the steps, then down);
            or the path of a class, such as torch.optim.lr_scheduler.StepLR, with its own arguments.
        warmup: fraction of all steps in which the rate rises from 0 before a constant, cosine or linear schedule.
        label_smoothing: fraction of the target that is spread over all classes, in [0, 1).
        loss_weights: weight of an error, by class; the data sets it (`class_weights`).
        calibrate: after each validation of a fit, fit the temperature of the probabilities that tests and predictions
            get: with it they have the lowest log loss on the validation split.
        finetune: pretrained weights, and how long to freeze them.
        metrics: torchmetrics by name, for what is no mean of batches: they see probabilities and labels.
        train_metrics: whether training has these metrics too.
        warm_up: the old name of `warmup`, which still works.
    """

    target_kind: ClassVar[str | None] = "classes"
    loss_weights: Tensor | None
    temperature: Tensor  # that logits are divided by, (); only where the model calibrates

    def __init__(
        self,
        net: nn.Module,
        *,
        lr: float = 1e-3,
        optimizer: OptimizerChoice = "Adam",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        schedule: ScheduleChoice = "constant",
        warmup: float = 0.0,
        label_smoothing: float = 0.0,
        loss_weights: list[float] | None = None,
        calibrate: bool = False,
        finetune: FineTuning = FineTuning(),
        metrics: dict[str, Metric] | None = None,
        train_metrics: bool = False,
        warm_up: float | None = None,
    ) -> None:
        super().__init__(
            net,
            lr=lr,
            optimizer=optimizer,
            weight_decay=weight_decay,
            momentum=momentum,
            schedule=schedule,
            warmup=warmup,
            finetune=finetune,
            metrics=metrics,
            train_metrics=train_metrics,
            warm_up=warm_up,
        )
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"expected label_smoothing in [0, 1), received {label_smoothing}")
        self.label_smoothing = label_smoothing
        self.calibrate = calibrate
        weights = None if loss_weights is None else torch.tensor(loss_weights)
        self.register_buffer("loss_weights", weights, persistent=False)
        if calibrate:
            self.register_fitted(temperature=torch.ones(()))

    def shared_step(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Compute `loss` and `accuracy`; with metrics also the probabilities and labels for them."""
        x, y = batch
        logits = self(x)
        smoothing = self.label_smoothing if self.training else 0.0
        loss = classification_loss(logits, y, label_smoothing=smoothing, class_weights=self.loss_weights)
        scores = {"loss": loss, "accuracy": accuracy(logits, y)}
        if not self.measures:
            return scores
        if not is_soft(y):
            self.keep_for_fit(logits, y.reshape(-1))
        # The temperature is of the epoch before while a new one is to be fitted.
        preds = probabilities(logits) if self.is_fitting_on_val else self.predict_from(logits)
        target = y.argmax(1) if is_soft(y) else y.reshape(-1).long()
        return scores | {"preds": preds[:, 1] if logits.shape[1] == 1 else preds, "target": target}

    def predict_from(self, output: Tensor) -> Tensor:
        """Compute probabilities (B, num_classes) float32 of logits."""
        return probabilities(output.float() / self.temperature if self.calibrate else output)

    @property
    def fits_on_val(self) -> bool:
        """Return whether the model calibrates."""
        return self.calibrate

    def fit_on_val(self, *rows: Tensor) -> None:
        """Fit the temperature to logits and labels of the validation split."""
        logits, labels = rows
        self.temperature.fill_(fit_temperature(logits, labels))


class ImageClassifier(Classifier):
    """A classifier of images: (B, 3, H, W) float32 to logits (B, num_classes), or (B, 1) for two classes."""


class TextClassifier(Classifier):
    """A classifier of texts: word ids (B, T) int64 to logits (B, num_classes), or (B, 1) for two classes."""
