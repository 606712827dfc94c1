"""Simple forecasters of windows, against the definitions in plain numpy and against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as SklearnRidge
from torch import Tensor

from lightfit.lightning_modules.nets.forecasters import naive
from lightfit.lightning_modules.nets.forecasters.history import History, find_seasonal_pattern, measure_scale
from lightfit.lightning_modules.nets.forecasters.known import KnownEffect
from lightfit.lightning_modules.nets.forecasters.ridge import Ridge, Rows
from lightfit.lightning_modules.nets.forecasters.smoothing import Smoothing, smooth
from lightfit.lightning_modules.nets.forecasters.spread import Spread
from lightfit.lightning_modules.nets.forecasters.theta import forecast_theta


def make_history(values: Tensor, padding: int = 0) -> History:
    """Make a history of values (B, C, L), with steps before them that are not known."""
    known = torch.ones_like(values)
    shape = (*values.shape[:2], padding)
    return History(torch.cat([torch.zeros(shape), values], 2), torch.cat([torch.zeros(shape), known], 2))


def wave(length: int, season: int = 4, *, slope: float = 0.1, noise: float = 0.2, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    steps = torch.arange(length)
    values = 5 + slope * steps + torch.sin(2 * torch.pi * steps / season)
    return (values + noise * torch.randn(length, generator=generator))[None, None]


def test_naive_forecasts_by_hand() -> None:
    history = make_history(torch.tensor([[[1.0, 5.0, 2.0, 3.0]]]), padding=3)
    assert naive.forecast_last(history, 2).flatten().tolist() == [3, 3]
    assert naive.forecast_season(history, 3, 2).flatten().tolist() == [2, 3, 2]
    assert naive.forecast_season(history, 3, 6).flatten().tolist() == [3, 3, 1]  # two steps are not known
    assert naive.forecast_drift(history, 2).flatten().tolist() == pytest.approx([3 + 2 / 3, 3 + 4 / 3])
    assert naive.forecast_mean(history, 1).flatten().tolist() == [2.75]
    assert naive.forecast_median(history, 1).flatten().tolist() == [2]  # the lower one of two
    assert measure_scale(history, 1).tolist() == [[pytest.approx((4 + 3 + 1) / 3)]]


def test_forecasts_do_not_depend_on_steps_that_are_not_known() -> None:
    values = torch.cat([wave(24, seed=seed) for seed in range(3)], 1)
    plain, padded = make_history(values), make_history(values, padding=9)
    smoothing = [Smoothing(lookback=length, horizon=5, season=4) for length in (24, 33)]
    for forecast in (
        lambda history: forecast_theta(history, 5, 4),
        lambda history: naive.forecast_drift(history, 5),
        lambda history: naive.forecast_median(history, 5),
        lambda history: smoothing[history.length > 24](history),
    ):
        torch.testing.assert_close(forecast(padded), forecast(plain), atol=1e-4, rtol=1e-4)


def test_smoothing_is_holt_winters_recursion() -> None:
    values, season, horizon = wave(20).flatten(), 4, 6
    alpha, beta, damping, gamma = 0.3, 0.1, 0.9, 0.2
    pattern = torch.tensor([0.5, -0.5, 1.0, -1.0])
    found = smooth(
        make_history(values[None, None]), torch.tensor([[alpha, beta, damping, gamma, 0]]), pattern[None, None], 6
    )
    states = pattern.tolist()  # the window is five whole seasons
    first = values[:10].numpy() - np.resize(pattern.numpy(), 10)
    slope, start = np.polyfit(np.arange(1, 11), first, 1)
    level, trend, errors = start, slope, []
    for step, value in enumerate(values.tolist()):
        error = value - level - damping * trend - states[step % season]
        level += damping * trend + alpha * error
        trend = damping * trend + beta * error
        states[step % season] += gamma * error
        errors.append(error**2)
    expected = [
        level + trend * sum(damping**power for power in range(1, ahead + 1)) + states[(ahead - 1) % season]
        for ahead in range(1, horizon + 1)
    ]
    assert found.forecasts.flatten().tolist() == pytest.approx(expected, abs=1e-4)
    assert float(found.errors) == pytest.approx(np.mean(errors), rel=1e-4)


def test_smoothing_and_theta_follow_trend_and_season() -> None:
    history = make_history(wave(48, noise=0.02))
    truth = wave(56, noise=0.0)[..., 48:]
    smoothing = Smoothing(lookback=48, horizon=8, season=4)
    smoothing.choose(history)
    assert float((smoothing(history) - truth).abs().mean()) < 0.1
    assert float((forecast_theta(history, 8, 4) - truth).abs().mean()) < 0.35  # it halves the trend
    pattern = find_seasonal_pattern(history, 4).flatten()
    assert pattern.tolist() == pytest.approx([0, 1, 0, -1], abs=0.05)


def test_ridge_is_that_of_scikit_learn() -> None:
    values = torch.randn(60, 1, 8, generator=torch.Generator().manual_seed(0))
    y = (values[..., :3] - values[..., -1:]) * 0.5 + values[..., -1:]
    history, nothing = make_history(values), torch.zeros(60, 0)
    rows = Rows(history, nothing, y)
    net = Ridge(lookback=8, horizon=3, num_targets=1, season=1)
    last = torch.tensor([1.0, 0.0, 0.0])
    net.solve(rows, (last, False, torch.arange(8), 0.5), is_refit=False)
    x, target = (values - values[..., -1:])[:, 0].numpy(), (y - values[..., -1:])[:, 0].numpy()
    penalty = 0.5 * 60 * x.var(0).mean()
    expected = SklearnRidge(alpha=penalty).fit(x, target).predict(x) + values[:, 0, -1:].numpy()
    np.testing.assert_allclose(net(history, nothing)[:, 0].numpy(), expected, atol=1e-5)
    assert not net.weight[1].any()
    choice, error = net.fit(rows, rows, lambda forecast: (forecast - y).abs().mean())
    assert choice[3] < 0.01, "the data has no noise"
    assert error < 0.01


def test_known_effect_is_estimated_beside_what_moves_slowly() -> None:
    generator = torch.Generator().manual_seed(0)
    known = (torch.rand(30, 2, 40, generator=generator) < 0.3).float()
    effect = torch.tensor([[3.0, -1.0]])
    level = torch.randn(30, 1, 40, generator=generator).cumsum(2) * 0.1
    values = level + torch.einsum("nkt,ck->nct", known, effect)
    net = KnownEffect(1, 2)
    for autoregression, tolerance in ((1.0, 0.03), (0.5, 0.1), (0.0, 0.3)):
        net.fit(make_history(values), known, autoregression)
        torch.testing.assert_close(net.weight[0], effect, atol=tolerance, rtol=0)
    net.fit(make_history(values), known, None)
    assert not net.weight.any()


def test_spread_covers_what_it_should_and_never_crosses() -> None:
    generator = torch.Generator().manual_seed(0)
    levels = (0.05, 0.1, 0.5, 0.9, 0.95)
    steps = torch.arange(1, 7).sqrt()
    history = make_history(torch.randn(800, 2, 20, generator=generator))
    forecast = torch.zeros(800, 2, 6)
    y = torch.randn(800, 2, 6, generator=generator) * steps * torch.tensor([[1.0], [4.0]])
    y[0, 0, 0] = float("nan")
    net = Spread(2, 5, season=1)
    net.fit(history, forecast, y, levels, num_blocks=800)
    quantiles = net(history, forecast)
    assert (quantiles.diff(dim=-1) > 0).all()
    assert not quantiles[..., 2].any()
    for low, high, expected in ((0, 4, 0.9), (1, 3, 0.8)):
        inside = (quantiles[..., low] <= y) & (y <= quantiles[..., high])
        assert float(inside[1:].float().mean()) == pytest.approx(expected, abs=0.02)
        assert float(inside[1:, :, -1].float().mean()) == pytest.approx(expected, abs=0.04), "the last step"
    assert float(net.growth) == pytest.approx(0.5, abs=0.05)
