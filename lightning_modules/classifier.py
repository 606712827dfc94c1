"""Classification in any domain: loss, accuracy, and calibrated probabilities."""

from typing import ClassVar, Literal, Protocol, TypeGuard, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric

from .calibration import choose_candidate, fit_temperature
from .finetuning import FineTuning
from .losses import classification_loss, is_soft, one_vs_rest_loss
from .metrics import accuracy, probabilities
from .optimizers import OptimizerChoice, ScheduleChoice
from .supervised import SupervisedModel


@runtime_checkable
class ChoosesOnVal(Protocol):
    """A net with a setting that is chosen after each validation of a fit, by the log loss on the validation split."""

    @property
    def chooses_on_val(self) -> bool:
        """Return whether there is anything to choose."""

    def candidate_logits(self, x: Tensor) -> Tensor:
        """Compute the logits of a batch with each of K values, (B, K, num_classes)."""

    def choose_candidate(self, index: int) -> None:
        """Use one of the values from now on."""


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
        multi_class: how more than two classes share the probability: `softmax`, by the cross-entropy of all of them;
            or `one_vs_rest`, each class against all others by a binary cross-entropy of its own, scaled to a sum of 1.
            The second is the better one for linear nets with many classes and few samples of each.
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
        multi_class: Literal["softmax", "one_vs_rest"] = "softmax",
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
        if multi_class not in ("softmax", "one_vs_rest"):
            raise ValueError(f"expected multi_class softmax or one_vs_rest, received '{multi_class}'")
        self.label_smoothing = label_smoothing
        self.multi_class = multi_class
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
        known, candidates = not is_soft(y), logits[:, None]
        if self.is_fitting_on_val and known and self._chooses(self.net):
            candidates = self.net.candidate_logits(x)
        compute_loss = one_vs_rest_loss if self._is_one_vs_rest(logits) else classification_loss
        # The loss is that of the first candidate in all epochs, so that they can be compared.
        loss = compute_loss(candidates[:, 0], y, label_smoothing=smoothing, class_weights=self.loss_weights)
        scores = {"loss": loss, "accuracy": accuracy(logits, y)}
        if not self.measures:
            return scores
        if known:
            self.keep_for_fit(candidates, y.reshape(-1))
        # The temperature is of the epoch before while a new one is to be fitted.
        preds = probabilities(self._scores(logits)) if self.is_fitting_on_val else self.predict_from(logits)
        target = y.argmax(1) if is_soft(y) else y.reshape(-1).long()
        return scores | {"preds": preds[:, 1] if logits.shape[1] == 1 else preds, "target": target}

    def predict_from(self, output: Tensor) -> Tensor:
        """Compute probabilities (B, num_classes) float32 of logits."""
        scores = self._scores(output)
        return probabilities(scores.float() / self.temperature if self.calibrate else scores)

    def _is_one_vs_rest(self, logits: Tensor) -> bool:
        return self.multi_class == "one_vs_rest" and logits.shape[-1] > 1  # one logit is the same in both

    def _scores(self, logits: Tensor) -> Tensor:
        """Return what the softmax turns into probabilities; of one against the rest, sigmoids with a sum of 1."""
        return F.logsigmoid(logits.float()) if self._is_one_vs_rest(logits) else logits

    @property
    def fits_on_val(self) -> bool:
        """Return whether the model calibrates, or its net chooses a setting."""
        return self.calibrate or self._chooses(self.net)

    def fit_on_val(self, *rows: Tensor) -> None:
        """Choose the net's setting and fit the temperature, to logits and labels of the validation split."""
        candidates, labels = rows
        scores = self._scores(candidates)
        chosen = 0
        if self._chooses(self.net):
            chosen = choose_candidate(scores, labels, calibrate=self.calibrate)
            self.net.choose_candidate(chosen)
        if self.calibrate:
            self.temperature.fill_(fit_temperature(scores[:, chosen], labels))

    @staticmethod
    def _chooses(net: nn.Module) -> TypeGuard[ChoosesOnVal]:
        return isinstance(net, ChoosesOnVal) and net.chooses_on_val


class ImageClassifier(Classifier):
    """A classifier of images: (B, 3, H, W) float32 to logits (B, num_classes), or (B, 1) for two classes."""


class TextClassifier(Classifier):
    """A classifier of texts: word ids (B, T) int64 to logits (B, num_classes), or (B, 1) for two classes."""
