"""`summary` is torchkeras'."""

import pytest
import torch
from torch import nn

from lightfit.lightning_modules.nets import TextCNN
from lightfit.scripts.training.run import summarise


def test_net_of_torchkeras_example(capsys: pytest.CaptureFixture[str]) -> None:
    net = nn.Sequential(nn.Linear(15, 20), nn.ReLU(), nn.Linear(20, 15), nn.ReLU(), nn.Linear(15, 1))
    summarise(net, torch.randn(2, 15))
    assert "Total params: 651\n" in capsys.readouterr().out


def test_text_cnn(capsys: pytest.CaptureFixture[str]) -> None:
    summarise(TextCNN(10_000, max_len=200), torch.zeros(2, 200, dtype=torch.int64))
    out = capsys.readouterr().out
    assert "Total params: 40,625\n" in out
    assert "No module named" not in out


def test_parameters_that_torchkeras_does_not_see(capsys: pytest.CaptureFixture[str]) -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.zeros(1, 1, 8))
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.shared = nn.Linear(8, 8)
            self.frozen = nn.Linear(8, 2).requires_grad_(False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x + self.token
            return self.frozen(self.shared(self.shared(self.attention(x, x, x)[0])))

    summarise(net := Nested(), torch.zeros(2, 1024, 8))
    out = capsys.readouterr().out
    count = sum(parameter.numel() for parameter in net.parameters())
    assert count == 8 + 288 + 72 + 18
    assert f"Total params: {count}\nTrainable params: {count - 18}\nNon-trainable params: 18\n" in out
    assert "Input size (MB): 0.062500\n" in out


def test_a_net_that_cannot_be_summarised_ends_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    class ReturnsDict(nn.Linear):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
            return {"logits": super().forward(x)}

    summarise(ReturnsDict(3, 2), torch.zeros(2, 3))
    out = capsys.readouterr().out
    assert "no table of layers: ReturnsDict cannot be summarised" in out
    assert "Total params: 8\n" in out
