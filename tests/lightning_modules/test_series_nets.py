"""Nets for series: shapes, sizes, and what each is made to see."""

import pytest
import torch
from torch import nn

from lightfit.callbacks import feature_maps
from lightfit.lightning_modules.nets import DLinear, NLinear, PatchTransformer, SparseTSF
from lightfit.lightning_modules.nets.channel_net import ChannelNet, moving_average

SIZES = {"lookback": 48, "horizon": 10, "num_targets": 3}


def nets(**options: object) -> list[ChannelNet]:
    given: dict[str, object] = {**SIZES, **options}
    plain = [build(**given) for build in (DLinear, NLinear, PatchTransformer)]  # type: ignore[arg-type]
    return [*plain, SparseTSF(**given, season=24)]  # type: ignore[arg-type]


def train_briefly(net: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int = 300) -> float:
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(steps):
        loss = (net(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


@pytest.mark.parametrize("number", range(4))
def test_shapes(number: int) -> None:
    x = torch.randn(5, 48, 3)
    assert nets()[number](x).shape == (5, 10, 3)
    assert nets(num_quantiles=3)[number](x).shape == (5, 10, 3, 3)
    assert nets(num_features=5, num_quantiles=3)[number](torch.randn(5, 48, 5)).shape == (5, 10, 3, 3)
    with pytest.raises(ValueError, match=r"takes windows of 48 steps, received a batch \(5, 47, 3\)"):
        nets()[number](x[:, 1:])


@pytest.mark.parametrize("number", range(4))
def test_each_channel_by_itself(number: int) -> None:
    torch.manual_seed(0)
    net = nets()[number].eval()
    x = torch.randn(2, 48, 3)
    whole = net(x)
    x[..., 1] = 0
    changed = net(x)
    torch.testing.assert_close(changed[..., [0, 2]], whole[..., [0, 2]])
    assert (changed[..., 1] - whole[..., 1]).abs().max() > 0.01


@pytest.mark.parametrize("number", range(4))
def test_a_forecast_follows_its_window_in_place_and_size(number: int) -> None:
    torch.manual_seed(0)
    net = nets(instance_norm=True, num_quantiles=3)[number].eval()
    x = torch.randn(2, 48, 3)
    torch.testing.assert_close(net(7 * x + 5), 7 * net(x) + 5, atol=1e-3, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_covariates_have_no_effect_before_training_and_then_have(number: int) -> None:
    torch.manual_seed(0)
    net = nets(num_features=4)[number].eval()
    x = torch.randn(64, 48, 4)
    without = x.clone()
    without[..., 3] = 0
    torch.testing.assert_close(net(x), net(without))
    y = x[:, -10:, 3:].expand(-1, -1, 3) + x[:, -1:, :3] * 0
    train_briefly(net.train(), x, y, steps=100)
    assert (net.eval()(x) - net(without)).abs().mean() > 0.05


def test_numbers_of_parameters() -> None:
    def count(net: nn.Module) -> int:
        return sum(parameter.numel() for parameter in net.parameters())

    assert count(DLinear(lookback=336, horizon=96, num_targets=7)) == 2 * (336 * 96 + 96)
    assert count(NLinear(lookback=336, horizon=96, num_targets=7)) == 336 * 96 + 96
    assert count(SparseTSF(lookback=720, horizon=96, num_targets=7, season=24)) == 25 + 30 * 4


def test_moving_average_repeats_the_ends() -> None:
    assert moving_average(torch.tensor([3.0, 0.0, 0.0, 6.0]), 3).tolist() == [2, 1, 2, 4]
    assert moving_average(torch.tensor([3.0, 0.0]), 2).tolist() == [1.5, 0.0]


def test_the_season_before_is_what_sparse_tsf_begins_from() -> None:
    net = SparseTSF(lookback=50, horizon=30, num_targets=1, season=24)
    nn.init.zeros_(net.conv.weight)
    nn.init.zeros_(net.linear.weight)
    with torch.no_grad():
        net.linear.weight[:, -1] = 1  # each place in the season from the same place in the last one
    x = torch.randn(2, 50, 1)
    expected = torch.cat([x[:, -24:], x[:, -24:]], 1)[:, :30]
    torch.testing.assert_close(net(x), expected)


def test_what_a_net_cannot_be() -> None:
    with pytest.raises(ValueError, match="a look-back of at least a season, received lookback 48 and season 49"):
        SparseTSF(**SIZES, season=49)
    with pytest.raises(ValueError, match="1 <= patch_stride <= patch_len <= lookback"):
        PatchTransformer(**SIZES, patch_len=60)
    with pytest.raises(ValueError, match="of at least 1, received 48, 0, 3 and 1"):
        NLinear(**{**SIZES, "horizon": 0})


@pytest.mark.parametrize(("number", "name"), [(2, "embed"), (3, "conv")])
def test_convolutions_have_feature_maps_over_time(number: int, name: str) -> None:
    maps = feature_maps(nets()[number], torch.randn(2, 48, 3))
    assert list(maps) == [name]
    assert maps[name].ndim == 3


@pytest.mark.parametrize("number", range(4))
@pytest.mark.slow
def test_nets_learn_what_comes_round(number: int) -> None:
    torch.manual_seed(0)
    phase = torch.rand(64, 1, 3) * 24
    step = torch.arange(58.0)[None, :, None]
    wave = torch.sin(2 * torch.pi * (step + phase) / 24)
    assert train_briefly(nets()[number].eval(), wave[:, :48], wave[:, 48:]) < 0.05
