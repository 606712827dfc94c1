"""A net for waveforms, and the model that trains it to predict a number."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightfit import LightModel


class WaveNet(nn.Sequential):
    """Two strided convolutions and a mean over time: (B, 1, L) to (B, 1)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv1d(1, 16, 9, stride=4),
            nn.ReLU(),
            nn.Conv1d(16, 16, 9, stride=4),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Linear(16, 1),
        )


class WaveModel(LightModel):
    """Minimise the squared error."""

    def shared_step(self, batch: Any) -> dict[str, Tensor]:
        """Return the loss and the mean absolute error."""
        x, y = batch
        predictions = self(x)
        return {"loss": F.mse_loss(predictions, y), "mae": F.l1_loss(predictions, y)}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=0.01)
