"""The net's graph in TensorBoard: of every net that can be traced, and never the end of a run."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from lightfit.lightning import pl
from lightfit.nets import PatchTransformer
from lightfit.scripts.training.net_views import log_graph


class Tracing(nn.Module):
    """Calls a function while it is traced."""

    def __init__(self, trouble: Callable[[], Any]) -> None:
        super().__init__()
        self.trouble = trouble

    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_tracing():
            self.trouble()
        return x + torch.rand(1)


class Uncopied(nn.Module):
    """Cannot be copied."""

    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Module:
        raise RuntimeError("one of a kind")

    def forward(self, x: Tensor) -> Tensor:
        return x


class Structured(nn.Module):
    """Returns what a tracer does not take."""

    def forward(self, x: Tensor) -> Any:
        return {"logits": x, "names": ["a"]}


def raise_(error: BaseException) -> Callable[[], Any]:
    def trouble() -> Any:
        raise error

    return trouble


class SilentError(Exception):
    def __init__(self) -> None:
        super().__init__("")


def recurse() -> None:
    recurse()


def log(net: nn.Module, x: Tensor, capsys: pytest.CaptureFixture[str]) -> str:
    logger = pl.loggers.TensorBoardLogger("logs", name="", version=0)
    capsys.readouterr()
    log_graph(SimpleNamespace(loggers=[logger]), net, x)  # type: ignore[arg-type]
    logger.finalize("success")
    output = capsys.readouterr()
    assert output.err == ""
    return output.out


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (Tracing(raise_(RuntimeError("no\nmore"))), "no"),
        (Tracing(raise_(KeyError("part"))), "'part'"),
        (Tracing(raise_(torch.jit.TracingCheckError("graphs", "differ"))), "Tracing failed sanity checks!"),
        (Tracing(raise_(SilentError())), "SilentError"),
        (Tracing(raise_(NotImplementedError())), "NotImplementedError"),
        (Tracing(lambda: sys.exit(3)), "3"),
        (Tracing(recurse), "maximum recursion depth exceeded"),
        (Tracing(lambda: torch.zeros(2) @ torch.zeros(3)), "inconsistent tensor size"),
        (Uncopied(), "one of a kind"),
        (Structured(), ""),
    ],
)
def test_a_net_that_cannot_be_traced_is_told_of(
    net: nn.Module, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    (line,) = log(net, torch.zeros(2, 3), capsys).splitlines()
    assert line.startswith(f"warning: no graph in TensorBoard: {type(net).__name__} cannot be traced ({reason}")
    assert torch.equal(torch.rand(3), expected), "the random state is as before"


def test_attention_has_a_graph(capsys: pytest.CaptureFixture[str]) -> None:
    net = PatchTransformer(lookback=32, horizon=4, num_targets=1, width=8, num_layers=1).eval()
    x = torch.randn(2, 32, 1)
    before = net(x)
    assert torch.backends.mha.get_fastpath_enabled()
    assert log(net, x, capsys) == ""
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.equal(net(x), before)
    (written,) = Path("logs").rglob("events.*")
    assert b"self_attn" in written.read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("series")
def test_a_run_goes_on_without_a_graph(
    fit: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise torch.jit.TracingCheckError("graphs", "differ")

    monkeypatch.setattr(SummaryWriter, "add_graph", refuse)
    net = ("--model.net", "lightfit.nets.NLinear", "--trainer.max_epochs", 1, "--data.lookback", 48)
    code, out, err = fit("--task", "series", "--data.path", "series.csv", "--data.target", "load", *net)
    assert code == 0, err
    assert "warning: no graph in TensorBoard: NLinear cannot be traced (Tracing failed sanity checks!)" in out
    assert Path("runs/series/version_0/checkpoints/last.ckpt").is_file()
