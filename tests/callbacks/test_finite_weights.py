"""Checkpoints whose weights are NaN or infinite: none is written, and no run resumes from one."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from test_finite import Late, Regressor, late, loader, train
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightfit.callbacks import (
    BestAndLast,
    CheckpointEvery,
    DurableCheckpoints,
    FiniteLoss,
    NonFiniteGradients,
    NonFiniteLoss,
    NonFiniteWeights,
)
from lightfit.callbacks.checkpoints.finite_weights import find_broken_weight
from lightfit.checkpoint import read_checkpoint
from lightfit.scripts.training.resume import read_usable

__all__ = ["late"]  # a fixture

Fit = Callable[..., tuple[int, str, str]]
NAN, INF = float("nan"), float("inf")
pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")


def weights_of(folder: Path) -> dict[str, bool]:
    """Whether the weights are finite, of each checkpoint there."""
    states = {path.name: read_checkpoint(path)["state_dict"].values() for path in folder.glob("*.ckpt")}
    return {name: all(bool(tensor.isfinite().all()) for tensor in state) for name, state in states.items()}


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("data", [loader(nan=[33]), loader(infinite_slope=[33])])
@pytest.mark.parametrize("callback", [Late, None])
def test_no_checkpoint_has_weights_that_are_not_finite(
    callback: type[FiniteLoss] | None, data: DataLoader, tmp_path: Path
) -> None:
    watchers = [callback()] if callback is not None else []
    savers = [BestAndLast(tmp_path, save_last=True, save_top_k=0), CheckpointEvery(steps=1)]
    error = NonFiniteWeights if callback is None else (NonFiniteLoss, NonFiniteGradients)
    with pytest.raises(error) as caught:
        train(Regressor(), data, *watchers, *savers, enable_checkpointing=True)
    assert weights_of(tmp_path) == {"last.ckpt": True, "previous.ckpt": True}
    assert read_checkpoint(tmp_path / "last.ckpt")["global_step"] == 3
    if callback is None:
        text = str(caught.value)
        assert "the weights became NaN or infinite ('net.weight' first)" in text
        assert f"the last good one is '{tmp_path / 'last.ckpt'}'. Resume from it with `gradient_clip_val` 1" in text
        assert "smaller `lr`" in text


def test_the_end_of_an_epoch_with_infinite_weights_ends_the_run(tmp_path: Path) -> None:
    class Explode(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *args: Any) -> None:
            if trainer.global_step == 16:
                pl_module.net.bias.data.fill_(-INF)

    saver = BestAndLast(tmp_path, filename="{epoch}", monitor="loss", save_last=True)
    with pytest.raises(NonFiniteWeights, match="last good one is '.*last.ckpt'"):
        train(Regressor(), loader(), Explode(), saver, enable_checkpointing=True, max_epochs=3)
    assert weights_of(tmp_path) == {"epoch=0.ckpt": True, "last.ckpt": True}
    assert not list(tmp_path.glob(".*"))


class Masked(nn.Linear):
    """A net with buffers that are infinite and NaN from the beginning."""

    def __init__(self) -> None:
        super().__init__(4, 1)
        self.register_buffer("mask", torch.full((3, 3), -INF).triu(1))
        self.register_buffer("lowest", torch.tensor(INF))
        self.register_buffer("unknown", torch.tensor(NAN))


def test_masks_are_saved_and_resumed_from(tmp_path: Path) -> None:
    for epochs in (1, 2):
        last = tmp_path / "last.ckpt"
        saver = BestAndLast(tmp_path, save_last=True, enable_version_counter=False, save_top_k=0)
        resumed = last if last.exists() else None
        options: dict[str, Any] = {"enable_checkpointing": True, "max_epochs": epochs, "ckpt_path": resumed}
        train(Regressor(Masked()), loader(), saver, **options)
        path, checkpoint, trouble = read_usable(last)
        assert (path, trouble, checkpoint["epoch"]) == (last, "", epochs - 1)


class Normed(nn.Sequential):
    """A net whose statistics become infinite before its weights do."""

    def __init__(self) -> None:
        super().__init__(nn.BatchNorm1d(4), nn.Linear(4, 1))


def test_statistics_that_became_infinite_are_refused(tmp_path: Path) -> None:
    class Overflow(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *args: Any) -> None:
            pl_module.net[0].running_var.fill_(INF)

    saver = BestAndLast(tmp_path, save_last=True)
    with pytest.raises(NonFiniteWeights, match="'net.0.running_var' first.*nothing was saved before"):
        train(Regressor(Normed()), loader(), Overflow(), saver, enable_checkpointing=True)


@pytest.mark.parametrize("place", ["state_dict", "current_model_state"])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_what_is_refused_leaves_all_as_it_was(value: float, place: str, tmp_path: Path) -> None:
    writer = DurableCheckpoints()
    writer.not_finite_at_start = ["mask"]
    state = {"weight": torch.ones(3), "mask": torch.tensor(-INF)}
    writer.save_checkpoint({"state_dict": state, "epoch": 1}, tmp_path / "last.ckpt")
    broken = {"state_dict": state} | {place: {**state, "weight": torch.tensor([1.0, value, 1.0])}}
    with pytest.raises(NonFiniteWeights, match="'weight' first"):
        writer.save_checkpoint({**broken, "epoch": 2}, tmp_path / "last.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert read_checkpoint(tmp_path / "last.ckpt")["epoch"] == 1


def test_without_a_model_nan_alone_is_refused(tmp_path: Path) -> None:
    writer = DurableCheckpoints()
    writer.save_checkpoint({"state_dict": {"mask": torch.tensor(-INF)}}, tmp_path / "a.ckpt")
    with pytest.raises(NonFiniteWeights, match="'scale' first"):
        writer.save_checkpoint({"state_dict": {"scale": torch.tensor(NAN)}}, tmp_path / "a.ckpt")


SPARSE = torch.sparse_coo_tensor([[0, 2]], [1.0, 2.0], (3,), check_invariants=True)
BYTES = torch.zeros(2, dtype=torch.uint8)


@pytest.mark.parametrize("known", [[], None])
@pytest.mark.parametrize(
    ("tensor", "finite"),
    [
        (torch.empty(0), True),
        (torch.ones(2, dtype=torch.bfloat16), True),
        (torch.tensor([NAN], dtype=torch.bfloat16), False),
        (torch.tensor([NAN], dtype=torch.float16), False),
        (torch.tensor([complex(1, NAN)]), False),
        (torch.tensor([1 + 1j]), True),
        (torch.tensor([1, 2]), True),
        (torch.tensor([True]), True),
        (SPARSE, True),
        (SPARSE * NAN, False),
        (torch.empty(2, device="meta"), True),
        (BYTES.view(torch.float8_e4m3fn), True),
        (torch.tensor([NAN]).to(torch.float8_e4m3fn), False),
        (torch.tensor([NAN]).to(torch.float8_e5m2), False),
        (BYTES.view(torch.float4_e2m1fn_x2), True),
    ],
)
def test_every_type_of_tensor_is_looked_at(tensor: Tensor, finite: bool, known: list[str] | None) -> None:
    checkpoint = {"state_dict": {"weight": tensor, "extra": {"no": "tensor"}}}
    checkpoint |= {} if known is None else {"not_finite_at_start": known}  # type: ignore[dict-item]
    assert find_broken_weight(checkpoint) == (None if finite else "weight")


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state")
@pytest.mark.parametrize("value", [1.0, NAN])
@pytest.mark.parametrize("layout", ["to_sparse_csr", "to_sparse_csc", "to_mkldnn"])
def test_every_layout_of_tensor_is_looked_at(layout: str, value: float) -> None:
    tensor = getattr(torch.tensor([[value, 0.0]]), layout)()
    assert find_broken_weight({"state_dict": {"weight": tensor}}) == ("weight" if math.isnan(value) else None)


def poison(path: Path, value: float) -> None:
    """Put a value into the weights of a checkpoint."""
    checkpoint = read_checkpoint(path)
    for tensor in checkpoint["state_dict"].values():
        tensor[...] = value
    torch.save(checkpoint, path)


@pytest.mark.slow
@pytest.mark.parametrize("value", [NAN, INF])
def test_no_run_resumes_from_weights_that_are_not_finite(value: float, fit: Fit, reviews: Path) -> None:
    line = (
        "--task",
        "text",
        "--data.source",
        reviews,
        "--data.max_ngrams",
        1000,
        "--data.min_steps",
        1,
        "--trainer.max_epochs",
        3,
        "--quiet",
    )
    fit(*line, "--trainer.max_epochs", 3)
    folder = Path("runs/text/version_0/checkpoints")
    last, previous = folder / "last.ckpt", folder / "previous.ckpt"
    before = previous.read_bytes()
    poison(last, value)
    code, out, err = fit(*line, "--trainer.max_epochs", 3, "--resume", "auto")
    assert (code, err) == (0, "")
    assert f"'{last}' holds weights that are NaN or infinite ('temperature' first)" in out
    assert f"resuming from '{previous}' instead" in out
    previous.write_bytes(before)
    poison(previous, value)
    poison(last, value)
    code, out, err = fit(*line, "--trainer.max_epochs", 4, "--ckpt_path", last)
    assert code == 0
    assert "resuming from 'runs/text/version_0/checkpoints/best-" in out
    for path in folder.glob("*.ckpt"):
        poison(path, value)
        code, _, err = fit(*line, "--trainer.max_epochs", 4, "--ckpt_path", path)
        if path.name != "last.ckpt":
            assert (code, err.count("\n")) == (2, 1)
            assert f"'{path}' holds weights that are NaN or infinite" in err
    code, _, err = fit(*line, "--trainer.max_epochs", 4, "--resume", "auto")
    assert (code, err.count("\n")) == (2, 1)
    assert f"'{last}' holds weights that are NaN or infinite" in err
