"""`summary`: the table of torchkeras 2.x."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightfit import summary
from lightfit.errors import UsageError


def lines(text: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert capsys.readouterr().out == f"{text}\n"
    return text.splitlines()


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 2, bias=False))
    net[3].requires_grad_(False)
    assert lines(summary(net, input_shape=(3, 3, 3)), capsys) == [
        "----------------------------------------------------------------",
        "        Layer (type)               Output Shape         Param #",
        "================================================================",
        "            Conv2d-1              [-1, 8, 1, 1]             224",
        "       BatchNorm2d-2              [-1, 8, 1, 1]              16",
        "           Flatten-3                    [-1, 8]               0",
        "            Linear-4                    [-1, 2]              16",
        "================================================================",
        "Total params: 256",
        "Trainable params: 240",
        "Non-trainable params: 16",
        "----------------------------------------------------------------",
        f"Input size (MB): {27 * 4 / 2**20:.6f}",
        f"Forward/backward pass size (MB): {2 * 26 * 4 / 2**20:.6f}",
        f"Params size (MB): {256 * 4 / 2**20:.6f}",
        f"Estimated Total Size (MB): {(27 + 52 + 256) * 4 / 2**20:.6f}",
        "----------------------------------------------------------------",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        {"input_shape": (5,), "input_dtype": torch.LongTensor},
        {"input_shape": (5,), "input_dtype": torch.int64},
        {"input_shape": [5], "input_dtype": torch.int64},
        {"input_data": torch.zeros(3, 5, dtype=torch.int64)},
        {"input_data_args": [torch.zeros(3, 5, dtype=torch.int64)]},
    ],
    ids=str,
)
def test_inputs(arguments: dict[str, Any]) -> None:
    text = summary(nn.Sequential(nn.Embedding(7, 2), nn.Flatten()), **arguments)
    assert "         Embedding-1                 [-1, 5, 2]              14\n" in text


def test_positions_of_both_generations() -> None:
    net = nn.Embedding(7, 2)
    assert summary(net, (5,), torch.LongTensor) == summary(net, torch.zeros(1, 5, dtype=torch.int64))
    assert "[4, 5, 2]" in summary(net, (5,), torch.LongTensor, 4)
    with pytest.raises(UsageError, match="expected an input as `input_data`, or a sample's shape as `input_shape`"):
        summary(net)


class Mixed(nn.Module):
    """Two inputs; a layer that is called twice, attention, a parameter beside children, a dict as output."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.shared = nn.Linear(8, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor, y: Tensor, scale: float = 1.0) -> dict[str, Tensor]:
        x = self.shared(self.shared(x + self.token)) * scale
        return {"out": self.attention(x, y, y)[0]}


def test_parameters_are_counted_once() -> None:
    text = summary(Mixed(), input_shape=[(4, 8), (6, 8)], scale=2.0)
    assert [line.split()[0] for line in text.splitlines()[3:6]] == ["Linear-1", "Linear-2", "MultiheadAttention-3"]
    assert "MultiheadAttention-3                 [-1, 4, 8]             288\n" in text
    assert f"Total params: {8 + 72 + 288}\n" in text
    assert f"Input size (MB): {(32 + 48) * 4 / 2**20:.6f}\n" in text


def test_nothing_changes() -> None:
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(), nn.LazyLinear(2))
    net[1].eval()
    before = torch.get_rng_state()
    summary(net, (3,))
    assert torch.equal(net[0].running_mean, torch.zeros(3))
    assert [module.training for module in net] == [True, False, True]
    assert "Total params: 14\n" in summary(net, (3,))  # the lazy one was built
    assert torch.equal(torch.get_rng_state(), before)
    assert not net[0]._forward_hooks


def test_a_net_that_fails_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 2))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        summary(net, (3,))
    assert not net[0]._forward_hooks
    assert net.training
