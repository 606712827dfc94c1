"""Numbers in any domain: one or several for each sample, with an interval around each."""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric

from .epoch_metrics import R2
from .finetuning import FineTuning
from .intervals import compute_interval_radius
from .optimizers import OptimizerChoice, ScheduleChoice
from .supervised import SupervisedModel

INTERVAL = 0.9  # fraction of the values that the intervals shall cover
ROUNDING = 1e-5  # by which intervals are wider, as an error of val lies at the very end of each


class Regressor(SupervisedModel):
    """A net that predicts numbers, scaled to mean 0 and standard deviation 1 on the training split.

    After each validation of a fit, the 90 % interval around each number is taken from the errors on the validation
    split; predictions get it. There is none before, or with a validation split of under 9 samples.

    Args:
        net: the `x` of a batch to numbers (B, num_outputs).
        num_outputs: how many numbers each sample has; the data sets it.
        lr: learning rate, the highest of the schedule.
        optimizer: name of a class of torch.optim, such as Adam, AdamW or SGD; or the path of any class, with its own
            arguments, such as `betas`.
        weight_decay: L2 penalty (decoupled in AdamW); not with nets of sparse gradients, such as NaiveBayesBag.
        momentum: Nesterov's, for SGD.
        schedule: constant, cosine or linear (down to 0), one_cycle (straight up for a quarter of the steps, then down);
            or the path of a class, such as torch.optim.lr_scheduler.StepLR, with its own arguments.
        warmup: fraction of all steps in which the rate rises from 0 before a constant, cosine or linear schedule.
        loss: mse, or huber (quadratic up to one standard deviation, then linear: for outliers).
        units: `mean` and `std` of each number, which undo its scaling; the data sets them.
        finetune: pretrained weights, and how long to freeze them.
        metrics: torchmetrics by name: they see predictions and truth (B, K), in the units of the data.
        train_metrics: whether training has these metrics too.
        warm_up: the old name of `warmup`, which still works.
    """

    target_kind: ClassVar[str | None] = "numbers"
    scales: Tensor  # mean and standard deviation of each number, (2, num_outputs)
    radius: Tensor  # half the width of the interval of each number, scaled, (num_outputs,); -1 where there is none

    def __init__(
        self,
        net: nn.Module,
        *,
        num_outputs: int = 1,
        lr: float = 1e-3,
        optimizer: OptimizerChoice = "Adam",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        schedule: ScheduleChoice = "constant",
        warmup: float = 0.0,
        loss: Literal["mse", "huber"] = "mse",
        units: dict[str, list[float]] | None = None,
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
            metrics={"r2": R2(num_outputs, mean=(units or {}).get("mean")), **(metrics or {})},
            train_metrics=train_metrics,
            warm_up=warm_up,
        )
        if loss not in ("mse", "huber"):
            raise ValueError(f"expected loss mse or huber, received {loss}")
        self.loss = loss
        units = units or {"mean": [0.0] * num_outputs, "std": [1.0] * num_outputs}
        self.register_buffer("scales", torch.tensor([units["mean"], units["std"]]), persistent=False)
        self.register_fitted(radius=torch.full((num_outputs,), -1.0))

    def shared_step(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Compute `loss`, and `mae` in the units of the data; in evaluation also the prediction, scaled."""
        x, y = batch
        output = self(x)
        y = self._check_output(output, y)
        loss = F.mse_loss(output, y) if self.loss == "mse" else F.huber_loss(output, y)
        mean, std = self.scales
        scores = {"loss": loss, "mae": ((output - y).abs() * std).mean()}
        if not self.measures:
            return scores
        self.keep_for_fit((output - y).abs().float())
        original = {"preds": output * std + mean, "target": y * std + mean}
        return scores | {"prediction": self.predict_from(output)} | original

    def predict_from(self, output: Tensor) -> Tensor:
        """Return each number and the ends of its interval, (B, num_outputs, 3) float32, scaled."""
        output = output.float()
        return torch.stack([output, output - self.radius, output + self.radius], 2)

    @property
    def fits_on_val(self) -> bool:
        """Return True: intervals are fitted on val."""
        return True

    def fit_on_val(self, *rows: Tensor) -> None:
        """Compute the intervals from the absolute errors on the validation split."""
        self.radius.copy_(compute_interval_radius(rows[0], INTERVAL) * (1 + ROUNDING))
