"""The number of CPU threads of a run."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from lightfit.lightning_modules.nets import TextCNN
from lightfit.scripts.training.threads import count_flops, set_threads

X = torch.zeros(2, 200, dtype=torch.int64)


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    monkeypatch.setattr("lightfit.scripts.training.threads.DEFAULT", 3)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    yield
    torch.set_num_threads(before)


def test_operations_are_counted() -> None:
    assert count_flops(nn.Linear(10, 5), torch.zeros(4, 10)) == 2 * 4 * 10 * 5
    net = TextCNN(100, max_len=200)
    assert count_flops(net, X) == 2 * 2 * (196 * 15 * 16 + 97 * 32 * 128 + 6144)


@pytest.mark.parametrize(
    ("batch_size", "options", "num_threads", "line"),
    [
        (20, {}, 1, "1 thread (small net, 0.018 GFLOP per step; --threads changes it)"),
        (2000, {}, 3, "3 threads (large net, 1.8 GFLOP per step; --threads changes it)"),
        (20, {"asked": 2}, 2, "2 threads (set by --threads)"),
        (20, {"device_type": "cuda"}, 3, "3 threads (the net runs on cuda)"),
    ],
)
def test_small_nets_take_one_thread(batch_size: int, options: dict[str, object], num_threads: int, line: str) -> None:
    chosen = {"asked": None, "device_type": "cpu"} | options
    assert set_threads(TextCNN(100, max_len=200), X, batch_size=batch_size, **chosen) == line  # type: ignore[arg-type]
    assert torch.get_num_threads() == num_threads


def test_the_environment_variable_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    line = set_threads(TextCNN(100, max_len=200), X, batch_size=20, asked=None, device_type="cpu")
    assert line == "3 threads (set by OMP_NUM_THREADS)"


def test_a_large_net_after_a_small_one_uses_all_threads() -> None:
    for batch_size, num_threads in ((20, 1), (2000, 3), (20, 1)):
        set_threads(TextCNN(100, max_len=200), X, batch_size=batch_size, asked=None, device_type="cpu")
        assert torch.get_num_threads() == num_threads
