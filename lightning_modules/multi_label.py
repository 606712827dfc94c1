"""Sets of labels in any domain: each sample has none to all of the labels."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric

from .calibration import choose_thresholds, fit_temperature
from .epoch_metrics import MicroF1
from .finetuning import FineTuning
from .optimizers import OptimizerChoice, ScheduleChoice
from .supervised import SupervisedModel


class MultiLabelClassifier(SupervisedModel):
    """A net that gives a logit per label, each for itself: a sample has every label that reaches its threshold.

    Trained by binary cross-entropy. After each validation of a fit, the threshold of each label is chosen that has the
    highest F1 on the validation split; tests and predictions get these. `val_f1_micro` in a fit is with thresholds of
    0.5, as they are chosen only after it; `test_f1_micro` with the chosen ones.

    Args:
        net: the `x` of a batch to logits (B, num_outputs).
        num_outputs: number of labels; the data sets it.
        lr: learning rate, the highest of the schedule.
        optimizer: name of a class of torch.optim, such as Adam, AdamW or SGD; or the path of any class, with its own
            arguments, such as `betas`.
        weight_decay: L2 penalty (decoupled in AdamW); not with nets of sparse gradients, such as NaiveBayesBag.
        momentum: Nesterov's, for SGD.
        schedule: constant, cosine or linear (down to 0), one_cycle (straight up for a quarter of the steps, then down);
            or the path of a class, such as torch.optim.lr_scheduler.StepLR, with its own arguments.
        warmup: fraction of all steps in which the rate rises from 0 before a constant, cosine or linear schedule.
        label_smoothing: fraction of the target that is moved to 0.5, in [0, 1).
        loss_weights: weight of each label where a sample has it; the data sets it (`class_weights`).
        calibrate: after each validation of a fit, fit the temperature of the probabilities.
        finetune: pretrained weights, and how long to freeze them.
        metrics: torchmetrics by name, for what is no mean of batches: they see probabilities and labels (B, K).
        train_metrics: whether training has these metrics too.
        warm_up: the old name of `warmup`, which still works.
    """

    target_kind: ClassVar[str | None] = "multi_label"
    loss_weights: Tensor | None
    thresholds: Tensor  # of each label, (num_outputs,)
    temperature: Tensor  # that logits are divided by, ()

    def __init__(
        self,
        net: nn.Module,
        *,
        num_outputs: int,
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
            metrics={"f1_micro": MicroF1(), **(metrics or {})},
            train_metrics=train_metrics,
            warm_up=warm_up,
        )
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"expected label_smoothing in [0, 1), received {label_smoothing}")
        self.label_smoothing = label_smoothing
        self.calibrate = calibrate
        weights = None if loss_weights is None else torch.tensor(loss_weights)
        self.register_buffer("loss_weights", weights, persistent=False)
        self.register_fitted(thresholds=torch.full((num_outputs,), 0.5), temperature=torch.ones(()))

    def shared_step(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Compute `loss`; in evaluation also the prediction, and the probabilities and labels for the metrics."""
        x, y = batch
        logits = self(x)
        y = self._check_output(logits, y)
        smoothing = self.label_smoothing if self.training else 0.0
        target = y * (1 - smoothing) + smoothing / 2 if smoothing else y
        loss = F.binary_cross_entropy_with_logits(logits, target, pos_weight=self.loss_weights)
        if not self.measures:
            return {"loss": loss}
        self.keep_for_fit(logits, y)
        prediction = self.predict_from(logits)
        return {"loss": loss, "prediction": prediction, "preds": prediction[..., 0], "target": y.long()}

    def predict_from(self, output: Tensor) -> Tensor:
        """Compute the probability and the threshold of each label, (B, num_outputs, 2) float32, of logits."""
        probabilities = (output.float() / self.temperature).sigmoid()
        return torch.stack([probabilities, self.thresholds.expand_as(probabilities)], 2)

    @property
    def fits_on_val(self) -> bool:
        """Return True: thresholds are fitted on val."""
        return True

    def fit_on_val(self, *rows: Tensor) -> None:
        """Fit the temperature where it is asked for, and choose the thresholds."""
        logits, y = rows
        if self.calibrate:
            self.temperature.fill_(fit_temperature(logits.reshape(-1, 1), y.reshape(-1)))
        self.thresholds.copy_(choose_thresholds((logits.float() / self.temperature.cpu()).sigmoid(), y))

    def _at_test_epoch_start(self) -> None:
        """Test with the chosen thresholds."""
        super()._at_test_epoch_start()
        for metric in self.stage_metrics.values():
            if isinstance(metric, MicroF1):
                metric.thresholds = self.thresholds
