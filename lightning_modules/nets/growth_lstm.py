"""The cookbook's recurrent net for counts that grow and shrink."""

from torch import Tensor, nn


class GrowthLSTM(nn.Module):
    """Four LSTM layers as wide as the data, and the growth of the last value: `max((1 + growth) * last, 0)`.

    So the forecast of a count is never negative. It looks one step ahead. 396 parameters for three columns.
    Source: lyhue1991/eat_pytorch_in_20_days, chapter 1-4.

    Args:
        num_targets: number of columns to forecast.
        num_features: number of columns of the input; the targets are the first of them.
        horizon: number of steps to forecast, which must be 1.
        num_layers: number of LSTM layers.
        log_counts: give the LSTM the logarithms of counts (of 1 + |x|, with its sign); counts of thousands, as in the
            cookbook, saturate its gates, so that it learns little but a mean growth.
    """

    def __init__(
        self,
        *,
        num_targets: int,
        num_features: int | None = None,
        horizon: int = 1,
        num_layers: int = 4,
        log_counts: bool = False,
    ) -> None:
        super().__init__()
        if horizon != 1:
            raise ValueError(
                f"GrowthLSTM looks one step ahead, received horizon {horizon}: set `horizon` to 1, or take NLinear"
            )
        self.num_targets = num_targets
        self.log_counts = log_counts
        self.lstm = nn.LSTM(num_features or num_targets, num_targets, num_layers=num_layers, batch_first=True)
        self.linear = nn.Linear(num_targets, num_targets)

    def forward(self, x: Tensor) -> Tensor:
        """Map windows (B, L, F) float32 to forecasts (B, 1, C)."""
        seen = x.sign() * x.abs().log1p() if self.log_counts else x
        growth = self.linear(self.lstm(seen)[0][:, -1:])  # (B, 1, C)
        return ((1 + growth) * x[:, -1:, : self.num_targets]).clamp(min=0)
