"""Classification of texts."""

from typing import Any

from torch import Tensor, nn
from torchmetrics import Metric

from lightning_modules.classification import accuracy, classification_loss, probabilities
from lightning_modules.light_model import LightModel
from lightning_modules.optimizers import make_optimizer, optimizer_class


class TextClassifier(LightModel):
    """A net that gives logits per class, or one logit for two classes.

    Args:
        net: word ids (B, T) int64 to logits (B, num_classes), or (B, 1) for two classes.
        lr: learning rate.
        optimizer: name of a class of torch.optim: Adam, AdamW, SGD, Adagrad, ...
        weight_decay: L2 penalty (decoupled in AdamW); not with nets of sparse gradients, such as NaiveBayesBag.
        metrics: torchmetrics by name, for what is no mean of batches: they see probabilities and labels.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        lr: float = 1e-3,
        optimizer: str = "Adam",
        weight_decay: float = 0.0,
        metrics: dict[str, Metric] | None = None,
    ) -> None:
        super().__init__(net, metrics=metrics)
        self.lr = lr
        self.optimizer = optimizer_class(optimizer)
        self.weight_decay = weight_decay

    def shared_step(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """`loss` and `accuracy`; in evaluation also the probabilities and labels, which the metrics take."""
        x, y = batch
        logits = self(x)
        scores = {"loss": classification_loss(logits, y), "accuracy": accuracy(logits, y)}
        if self.training:
            return scores
        preds = probabilities(logits)
        return scores | {"preds": preds[:, 1] if logits.shape[1] == 1 else preds, "target": y.reshape(-1).long()}

    def predict_step(self, batch: Any, batch_idx: int = 0, dataloader_idx: int = 0) -> Tensor:
        """Probabilities (B, num_classes) float32."""
        return probabilities(self(batch[0] if isinstance(batch, (tuple, list)) else batch))

    def configure_optimizers(self) -> Any:
        """The optimizer named, over all parameters."""
        return make_optimizer(self.optimizer, self.parameters(), lr=self.lr, weight_decay=self.weight_decay)
