"""A forecast from the same time in the seasons before, with a thousand parameters."""

from torch import Tensor, nn

from .channel_net import ChannelNet


class SparseTSF(ChannelNet):
    """One small linear layer, the same for every place in the season, from the seasons before to those that come.

    A convolution first mixes into each step what lies within half a season around it. Of a look-back that is no whole
    number of seasons the oldest steps are left out.
    Source: Lin et al. 2024, "SparseTSF: Modeling Long-term Time Series Forecasting with 1k Parameters" (ICML, arXiv
    2405.00946), section 3; table 2: ETTh1 at horizon 96, MSE 0.362 with 720 steps of look-back.

    The other arguments are those of `ChannelNet`.

    Args:
        season: number of steps in a season.
    """

    def __init__(
        self,
        *,
        lookback: int,
        horizon: int,
        num_targets: int,
        season: int,
        num_features: int | None = None,
        num_quantiles: int = 1,
        instance_norm: bool = False,
    ) -> None:
        if not 1 <= season <= lookback:
            raise ValueError(
                f"SparseTSF needs a look-back of at least a season, received lookback {lookback} and season {season}: "
                "increase `lookback`, reduce `season`, or take NLinear"
            )
        self.season = season
        super().__init__(
            lookback=lookback,
            horizon=horizon,
            num_targets=num_targets,
            num_features=num_features,
            num_quantiles=num_quantiles,
            instance_norm=instance_norm,
        )

    @property
    def is_linear(self) -> bool:
        """Return whether windows are not scaled, so that explanations are exact."""
        return not self.instance_norm

    def build(self) -> None:
        """Build the convolution and the linear layer, neither with a bias."""
        self.seasons_back, self.seasons_ahead = self.lookback // self.season, -(-self.horizon // self.season)
        half = self.season // 2
        self.conv = nn.Conv1d(1, 1, kernel_size=1 + 2 * half, padding=half, bias=False)
        self.linear = nn.Linear(self.seasons_back, self.seasons_ahead * self.num_quantiles, bias=False)

    def forecast(self, x: Tensor) -> Tensor:
        """Map (B, C, L) to (B, C, P * Q)."""
        mean = x.mean(2, keepdim=True)
        x = (x - mean).flatten(0, 1)[:, None]  # (B * C, 1, L)
        x = (x + self.conv(x))[..., -self.seasons_back * self.season :]
        x = x.unflatten(2, (self.seasons_back, self.season)).mT  # (B * C, 1, season, seasons_back)
        y = self.linear(x).unflatten(3, (self.seasons_ahead, self.num_quantiles))
        y = y.transpose(2, 3).flatten(2, 3)[:, 0, : self.horizon]  # (B * C, P, Q)
        return y.unflatten(0, mean.shape[:2]).flatten(2) + mean
