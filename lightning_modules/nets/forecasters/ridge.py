"""Ridge regression from windows to what follows them: the linear nets' solution in closed form.

Sources: Hoerl and Kennard 1970, "Ridge Regression" (Technometrics 12); Zeng et al. 2023, "Are Transformers Effective
for Time Series Forecasting?" (arXiv 2205.13504), for distances from the last value (NLinear); Toner and Darlow 2024,
"An Analysis of Linear Time Series Forecasting Models" (arXiv 2403.14587), for the closed form of such nets.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .history import History
from .naive import forecast_season

ALPHAS = (1e-6, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0)  # of the penalty, as shares of a feature's variance
CHUNK = 512  # windows at once, while products are summed up
MOST_LAGS = 336  # last steps of a window that are features, or a season
MOST_ROWS = 20_000  # series of one channel in a fit: of more windows every second, third, ... is taken
MOST_OWN = 2**22  # weights, up to which each channel may have its own
MOST_CUBES = 1e10  # operations of the decompositions, up to which each channel may have its own
ROWS_PER_FEATURE = 3  # with fewer windows than that, only penalties from LEAST_OF_FEW on: others fit the noise
LEAST_OF_FEW = 0.1


class Rows(NamedTuple):
    """Windows with what follows them.

    Args:
        history: the past of the targets, (N, C, L).
        extra: other features, the same for all targets, (N, E).
        y: what follows, (N, C, P); NaN where it is not known.
    """

    history: History
    extra: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: Tensor | slice) -> "Rows":
        """Return some of the windows."""
        return Rows(History(*(item[index] for item in self.history)), self.extra[index], self.y[index])

    def chunks(self) -> Iterator["Rows"]:
        """Yield the windows, some at a time."""
        return (self.take(slice(begin, begin + CHUNK)) for begin in range(0, len(self), CHUNK))


class Ridge(nn.Module):
    """A linear map of distances from a centre: the window's last value, its mean, or the season before.

    It holds two solutions: of the training windows, and of those and the validation's.

    Args:
        lookback, horizon, num_targets, season: sizes of the windows.
        num_extra: number of other features.
    """

    weight: Tensor  # (2, C or 1, L + E, P)
    bias: Tensor  # (2, C or 1, P)
    centre: Tensor  # one of three, as 1 among 0

    def __init__(self, *, lookback: int, horizon: int, num_targets: int, season: int, num_extra: int = 0) -> None:
        super().__init__()
        lookback = min(lookback, max(MOST_LAGS, season))
        self.lookback, self.horizon, self.season = lookback, horizon, season
        own = num_targets * (lookback + num_extra) * horizon <= MOST_OWN
        self.num_maps = num_targets if own else 1
        self.num_features = lookback + num_extra
        self.register_buffer("weight", torch.zeros(2, self.num_maps, self.num_features, horizon))
        self.register_buffer("bias", torch.zeros(2, self.num_maps, horizon))
        self.register_buffer("centre", torch.tensor([1.0, 0.0, 0.0]))

    def forward(self, history: History, extra: Tensor, is_refit: bool = False) -> Tensor:
        """Forecast, (B, C, P)."""
        features, base = self._center(history, extra, self.centre)
        weight, bias = self.weight[int(is_refit)], self.bias[int(is_refit)]
        return base + torch.einsum("bck,ckp->bcp", features, weight.expand(features.shape[1], -1, -1)) + bias

    def _center(self, history: History, extra: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features, (B, C, K), and what the forecast is a distance from, (B, C, P)."""
        history = history.take_last(self.lookback)
        values, known = history
        last, mean = history.last, history.mean
        origin = last + centre[1] * (mean - last)
        season = forecast_season(history, self.horizon, self.season)
        base = origin + centre[2] * (season - origin)
        extra = extra[:, None].expand(-1, values.shape[1], -1)
        return torch.cat([(values - origin) * known, extra], -1), base

    def list_centres(self) -> list[Tensor]:
        """Return the centres that the sizes allow."""
        return list(torch.eye(3)[: 3 if 1 < self.season <= self.lookback else 2])

    def list_features(self) -> list[Tensor]:
        """Return the choices of features: some last steps of the window, with and without the other features."""
        steps = {self.season * times for times in (1, 2, 4) if self.season > 1} | {2, 4, 8, 16, 32, 64, 128}
        lengths = [*sorted(length for length in steps if length < self.lookback), self.lookback]
        if self.season > 1:
            lengths = [n for n in lengths if n >= min(4, self.lookback)]
        every = torch.arange(self.num_features)
        past = [every[self.lookback - length : self.lookback] for length in lengths]
        if self.num_features == self.lookback:
            return past
        return past + [torch.cat([index, every[self.lookback :]]) for index in past]

    def fit(
        self, train: Rows, val: Rows, measure: Callable[[Tensor], Tensor]
    ) -> tuple[tuple[Tensor, bool, Tensor, float], float]:
        """Solve for the training windows, with features, centre and penalty by the error on the validation's.

        Args:
            train: training windows.
            val: validation windows.
            measure: error of forecasts (N, C, P) of the validation windows, ().

        Returns:
            The choice (centre, whether each target has its own weights, features, alpha), for `solve`; and its error.
        """
        best: tuple[float, tuple[Tensor, bool, Tensor, float]] | None = None
        for centre in self.list_centres():
            sums = self._sum(train, centre)
            features, base = self._center(val.history, val.extra, centre)
            features, base = features.double(), base.double()
            for index in self.list_features():
                for own in (False, True):
                    num_channels = features.shape[1]
                    cubes = len(index) ** 3 * (num_channels if own else 1)
                    if own and (num_channels == 1 or self.num_maps == 1 or cubes > MOST_CUBES):
                        continue
                    count = float(sums[0].min() if own else sums[0].sum())
                    few = len(index) * ROWS_PER_FEATURE > count
                    alphas = [alpha for alpha in ALPHAS if not few or alpha >= LEAST_OF_FEW]
                    for alpha, weight, bias in _solve(sums, index, own, alphas):
                        part = features[..., index]
                        forecast = base + torch.einsum("bck,ckp->bcp", part, weight.expand(num_channels, -1, -1)) + bias
                        error = float(measure(forecast))
                        if best is None or error < best[0]:
                            best = error, (centre, own, index, alpha)
        assert best is not None
        return best[1], best[0]

    def solve(self, rows: Rows, choice: tuple[Tensor, bool, Tensor, float], *, is_refit: bool) -> None:
        """Set the weights to the solution of some windows, for a choice that `fit` has returned."""
        centre, own, index, alpha = choice
        _, weight, bias = next(_solve(self._sum(rows, centre), index, own, [alpha]))
        self.centre.copy_(centre)
        place = int(is_refit)
        self.weight[place].zero_()
        self.weight[place][:, index] = weight.to(self.weight).expand(self.num_maps, -1, -1)
        self.bias[place].copy_(bias.to(self.bias).expand(self.num_maps, -1))

    def _sum(self, rows: Rows, centre: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Sum up products over the windows by target: number, X, Y, X'X and X'Y, in float64."""
        num_channels = rows.y.shape[1]
        rows = rows.take(slice(None, None, max(1, len(rows) * num_channels // MOST_ROWS)))
        count, size = torch.zeros(num_channels, dtype=torch.float64), self.num_features
        x_sum = torch.zeros(num_channels, size, dtype=torch.float64)
        y_sum = torch.zeros(num_channels, self.horizon, dtype=torch.float64)
        xx = torch.zeros(num_channels, size, size, dtype=torch.float64)
        xy = torch.zeros(num_channels, size, self.horizon, dtype=torch.float64)
        for chunk in rows.chunks():
            features, base = self._center(chunk.history, chunk.extra, centre)
            whole = ~chunk.y.isnan().any(-1, keepdim=True)
            x = (features * whole).double().transpose(0, 1)  # (C, N, K)
            y = ((chunk.y - base).nan_to_num() * whole).double().transpose(0, 1)
            count += whole.sum((0, 2))
            x_sum += x.sum(1)
            y_sum += y.sum(1)
            xx += x.mT @ x
            xy += x.mT @ y
        return count, x_sum, y_sum, xx, xy


def _solve(
    sums: Sequence[Tensor], index: Tensor, own: bool, alphas: Sequence[float]
) -> Iterator[tuple[float, Tensor, Tensor]]:
    """Yield weights (C or 1, K, P) and bias (C or 1, P) for each penalty; the bias has none."""
    count, x_sum, y_sum, xx, xy = sums if own else [item.sum(0, keepdim=True) for item in sums]
    count = count.clamp(min=1)
    x_mean, y_mean = x_sum[:, index] / count[:, None], y_sum / count[:, None]
    gram = xx[:, index][:, :, index] / count[:, None, None] - x_mean[:, :, None] * x_mean[:, None]
    cross = xy[:, index] / count[:, None, None] - x_mean[:, :, None] * y_mean[:, None]
    values, vectors = torch.linalg.eigh(gram)
    projected = vectors.mT @ cross
    size = gram.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-30)
    for alpha in alphas:
        weight = vectors @ (projected / (values.clamp(min=0) + alpha * size[:, None])[..., None])
        yield alpha, weight, y_mean - torch.einsum("ck,ckp->cp", x_mean, weight)
