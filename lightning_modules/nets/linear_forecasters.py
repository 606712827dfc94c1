"""Linear nets for series, which were better than the transformers of their day."""

from torch import Tensor, nn

from .channel_net import ChannelNet, moving_average

TREND_STEPS = 25  # of the moving average, as in the paper


class DLinear(ChannelNet):
    """A linear layer for the trend of a window, its moving average, and another one for what remains.

    Source: Zeng et al. 2023, "Are Transformers Effective for Time Series Forecasting?" (arXiv 2205.13504), section 4;
    table 2: ETTh1 at horizon 96, MSE 0.375 and MAE 0.399 with 336 steps of look-back.
    """

    @property
    def is_linear(self) -> bool:
        """Return whether windows are not scaled, so that explanations are exact."""
        return not self.instance_norm

    def build(self) -> None:
        """Build two linear layers."""
        self.trend = nn.Linear(self.lookback, self.horizon * self.num_quantiles)
        self.rest = nn.Linear(self.lookback, self.horizon * self.num_quantiles)

    def forecast(self, x: Tensor) -> Tensor:
        """Map (B, C, L) to (B, C, P * Q)."""
        trend = moving_average(x, TREND_STEPS)
        return self.trend(trend) + self.rest(x - trend)


class NLinear(ChannelNet):
    """A linear layer for a window's distances from its last value; untrained it forecasts the last value.

    Source: as `DLinear`; table 2: ETTh1 at horizon 96, MSE 0.374 and MAE 0.394 with 336 steps of look-back.
    """

    @property
    def is_linear(self) -> bool:
        """Return whether windows are not scaled, so that explanations are exact."""
        return not self.instance_norm

    def build(self) -> None:
        """Build one linear layer, of zeros."""
        self.linear = nn.Linear(self.lookback, self.horizon * self.num_quantiles)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forecast(self, x: Tensor) -> Tensor:
        """Map (B, C, L) to (B, C, P * Q)."""
        last = x[..., -1:]
        return self.linear(x - last) + last
