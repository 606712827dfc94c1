"""The effect of covariates that are known ahead: a regression with errors that the other forecasters forecast.

Source: Hyndman and Athanasopoulos, "Forecasting: Principles and Practice" (FPP3), chapter 10; the errors are those of
an autoregression of order 1 here, by quasi-differences (Cochrane and Orcutt 1949).
"""

import torch
from torch import Tensor, nn

from .history import History

PENALTY = 1e-3  # share of a covariate's variance
AUTOREGRESSIONS = (0.0, 0.5, 1.0)  # weights of the step before in the errors; 1: differences
MOST_WINDOWS = 2000


class KnownEffect(nn.Module):
    """What known covariates add in the same step, linear, in each target's own weights.

    It holds two estimates, as `Ridge`.
    """

    weight: Tensor  # (2, C, K)

    def __init__(self, num_targets: int, num_known: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(2, num_targets, num_known))

    def forward(self, known: Tensor, is_refit: bool = False) -> Tensor:
        """Map covariates (B, K, T) to their effects (B, C, T)."""
        return torch.einsum("bkt,ck->bct", known, self.weight[int(is_refit)])

    def fit(self, history: History, known: Tensor, autoregression: float | None, *, is_refit: bool = False) -> None:
        """Estimate the weights by ridge regression within the windows; None sets them to 0.

        Args:
            history: past of the targets, (N, C, L).
            known: covariates of the same steps, (N, K, L).
            autoregression: weight of the step before in the errors.
            is_refit: which of the two estimates to set.
        """
        if autoregression is None or not known.shape[1] or history.length < 2:
            self.weight[int(is_refit)].zero_()
            return
        every = max(1, len(known) // MOST_WINDOWS)
        values, present, covariates = (item[::every].double() for item in (*history, known))
        pairs = present[..., 1:] * present[..., :-1]
        y = values[..., 1:] - autoregression * values[..., :-1]
        u = covariates[..., 1:] - autoregression * covariates[..., :-1]
        count = pairs.sum(-1, keepdim=True).clamp(min=1)
        y = (y - (y * pairs).sum(-1, keepdim=True) / count) * pairs  # (N, C, T)
        u = u[:, None] * pairs[:, :, None]  # (N, C, K, T)
        u = (u - u.sum(-1, keepdim=True) / count[:, :, None]) * pairs[:, :, None]
        gram = torch.einsum("nckt,ncjt->ckj", u, u)
        cross = torch.einsum("nckt,nct->ck", u, y)
        penalty = PENALTY * gram.diagonal(dim1=1, dim2=2).mean(1) + 1e-12
        eye = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
        solved = torch.linalg.solve(gram + penalty[:, None, None] * eye, cross[..., None])[..., 0]
        self.weight[int(is_refit)].copy_(solved.to(self.weight))
