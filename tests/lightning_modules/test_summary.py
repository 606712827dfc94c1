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
