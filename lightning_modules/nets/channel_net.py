"""What nets that forecast each channel by itself have in common."""

from typing import Any

import torch
from torch import Tensor, nn

EPSILON = 1e-5  # added to the variance of a window, which may be constant


class ChannelNet(nn.Module):
    """A forecast of every target from its own past, by the same weights; covariates add to it.

    A subclass makes its layers in `build` and defines `forecast`, from windows (B, C, L) to (B, C, P * Q). Covariates,
    where there are any, add the same to all quantiles: a linear layer over their window and another one over the
    covariates, at first without effect.

    Args:
        lookback: number of steps in a window, L.
        horizon: number of steps to forecast, P.
        num_targets: number of columns to forecast, C: the first ones of the input.
        num_features: number of columns of the input, F; those after the targets are covariates.
        num_quantiles: number of quantiles to forecast, Q; 1 for a forecast alone.
        instance_norm: scale each window to mean 0 and variance 1, and its forecast back. Source: Kim et al. 2022,
            "Reversible Instance Normalization" (ICLR), equations 1 to 3, without the affine parameters.
    """

    def __init__(
        self,
        *,
        lookback: int,
        horizon: int,
        num_targets: int,
        num_features: int | None = None,
        num_quantiles: int = 1,
        instance_norm: bool = False,
    ) -> None:
        super().__init__()
        if min(lookback, horizon, num_targets, num_quantiles) < 1:
            raise ValueError(
                "expected lookback, horizon, num_targets and num_quantiles of at least 1, received "
                f"{lookback}, {horizon}, {num_targets} and {num_quantiles}"
            )
        self.lookback = lookback
        self.horizon = horizon
        self.num_targets = num_targets
        self.num_quantiles = num_quantiles
        self.instance_norm = instance_norm
        num_covariates = 0 if num_features is None else num_features - num_targets
        self.covariates = CovariateEffect(lookback, horizon, num_covariates, num_targets) if num_covariates else None
        self.build()

    @property
    def is_linear(self) -> bool:
        """Return whether forecasts are linear in the windows, so that explanations are exact; a subclass may say so."""
        return False

    def build(self) -> None:
        """Build the layers; the constructor's arguments are attributes by then."""

    def forecast(self, x: Tensor) -> Tensor:
        """Map windows (B, C, L) to (B, C, P * Q)."""
        raise NotImplementedError(f"{type(self).__name__} must define forecast(x)")

    def forward(self, x: Tensor) -> Tensor:
        """Map windows (B, L, F) float32 to forecasts (B, P, C), or quantiles (B, P, C, Q) where there are several.

        Raises:
            ValueError: the windows have another length.
        """
        check_lookback(self, x)
        past = x[..., : self.num_targets].transpose(1, 2)  # (B, C, L)
        if self.instance_norm:
            mean = past.mean(2, keepdim=True)
            std = (past.var(2, keepdim=True, correction=0) + EPSILON).sqrt()
            past = (past - mean) / std
        y = self.forecast(past).unflatten(2, (self.horizon, self.num_quantiles))  # (B, C, P, Q)
        if self.covariates is not None:
            y = y + self.covariates(x[..., self.num_targets :])[..., None]
        if self.instance_norm:
            y = y * std[..., None] + mean[..., None]
        y = y.transpose(1, 2)
        return y[..., 0] if self.num_quantiles == 1 else y


def check_lookback(net: Any, x: Tensor) -> None:
    """Check that windows have the length that a net was built for, its attribute `lookback`.

    Raises:
        ValueError: they have another one.
    """
    if x.shape[1] != net.lookback:
        raise ValueError(
            f"{type(net).__name__} takes windows of {net.lookback} steps, received a batch {tuple(x.shape)}"
        )


class CovariateEffect(nn.Module):
    """What covariates add to a forecast: linear in their window, the same shape over time for all targets."""

    def __init__(self, lookback: int, horizon: int, num_covariates: int, num_targets: int) -> None:
        super().__init__()
        self.time = nn.Linear(lookback, horizon)
        self.mix = nn.Linear(num_covariates, num_targets, bias=False)
        nn.init.zeros_(self.mix.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, L, covariates) to (B, C, P)."""
        return self.mix(self.time(x.transpose(1, 2)).transpose(1, 2)).transpose(1, 2)


def moving_average(x: Tensor, size: int) -> Tensor:
    """Average `size` steps around each, (..., L); the ends are repeated outwards."""
    before = x[..., :1].expand(*x.shape[:-1], (size - 1) // 2)
    after = x[..., -1:].expand(*x.shape[:-1], size // 2)
    return torch.cat([before, x, after], -1).unfold(-1, size, 1).mean(-1)
