"""Checkpoint files: whole or not at all, damage is found, and the one before is there."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lightfit.callbacks import DurableCheckpoints
from lightfit.checkpoint import read_checkpoint

Fit = Callable[..., tuple[int, str, str]]
SMALL = ("--data.max_ngrams", 1000, "--data.min_steps", 1, "--trainer.max_epochs", 3, "--quiet")


def same(one: object, other: object) -> bool:
    return repr(one) == repr(other)


@pytest.mark.slow
def test_damage_is_found_or_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    tensors = {"a": torch.arange(300.0), "b": torch.arange(9)}
    DurableCheckpoints().save_checkpoint({"state_dict": tensors, "epoch": 3}, path)
    whole, contents = path.read_bytes(), read_checkpoint(path)
    rng, found = random.Random(0), 0
    for _ in range(600):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            assert same(read_checkpoint(path), contents)  # in the padding between two tensors, or in a date
        except ValueError:
            found += 1
    assert found > 300
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cannot be (read|loaded)"):
            read_checkpoint(path)


def test_the_former_last_one_is_kept(tmp_path: Path) -> None:
    writer = DurableCheckpoints()
    for epoch in range(3):
        writer.save_checkpoint({"state_dict": {}, "epoch": epoch}, tmp_path / "last.ckpt")
        writer.save_checkpoint({"state_dict": {}, "epoch": epoch}, tmp_path / "best.ckpt")
    epochs = {path.name: read_checkpoint(path)["epoch"] for path in tmp_path.iterdir()}
    assert epochs == {"last.ckpt": 2, "previous.ckpt": 1, "best.ckpt": 2}


def test_what_cannot_be_written_leaves_all_as_it_was(tmp_path: Path) -> None:
    writer = DurableCheckpoints()
    writer.save_checkpoint({"state_dict": {}, "epoch": 1}, tmp_path / "last.ckpt")
    with pytest.raises(Exception, match="pickle"):
        writer.save_checkpoint({"state_dict": {}, "epoch": lambda: 1}, tmp_path / "last.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert read_checkpoint(tmp_path / "last.ckpt")["epoch"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_a_damaged_last_one_is_replaced_by_the_one_before(damage: str, fit: Fit, reviews: Path) -> None:
    line = ("--task", "text", "--data.source", reviews, *SMALL, "--trainer.max_epochs")
    fit(*line, 4)
    fit(*line, 3)
    folder = Path("runs/text/version_1/checkpoints")
    whole = (folder / "last.ckpt").read_bytes()
    middle = len(whole) // 2
    if damage == "missing":
        (folder / "last.ckpt").unlink()
    elif damage == "truncated":
        (folder / "last.ckpt").write_bytes(whole[:middle])
    else:
        (folder / "last.ckpt").write_bytes(whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1 :])
    code, out, err = fit(*line, 4, "--resume", "auto")
    assert (code, err) == (0, "")
    assert "resuming from 'runs/text/version_1/checkpoints/previous.ckpt' instead" in out
    histories = [Path(f"runs/text/version_{version}/history.csv").read_bytes() for version in (0, 1)]
    assert histories[0] == histories[1]


@pytest.mark.slow
def test_resume_auto_begins_a_run_where_there_is_none(fit: Fit, reviews: Path) -> None:
    line = ("--task", "text", "--data.source", reviews, *SMALL[:-1], "--resume", "auto", "--trainer.max_epochs")
    code, out, _ = fit(*line, 1)
    assert code == 0
    assert "no run to resume: starting a new one" in out
    code, out, _ = fit(*line, 2)
    assert "resuming from epoch 1, step 1, of 'runs/text/version_0/checkpoints/last.ckpt'" in out
    assert [path.name for path in Path("runs/text").iterdir()] == ["version_0"]


@pytest.mark.slow
def test_resume_with_another_batch_size_is_said(fit: Fit, reviews: Path) -> None:
    line = ("--task", "text", "--data.source", reviews, *SMALL[:-1])
    fit(*line, "--trainer.max_epochs", 1, "--data.batch_size", 16)
    code, out, _ = fit(*line, "--trainer.max_epochs", 2, "--data.batch_size", 8, "--resume", "runs/text/version_0")
    assert code == 0
    assert "the global batch size is now 8 (1 x 8), and was 16 before" in out


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("--resume", "runs/nowhere"), "'runs/nowhere' has no checkpoint to resume from: expected --resume auto"),
        (("--resume", "auto", "--folds", "3"), "--resume continues a run"),
        (("--resume", "auto", "--ckpt_path", "a.ckpt"), "--resume and --ckpt_path"),
        (("--checkpoint_every", "5x"), "as a time, such as 30s, 5m or 1h; received 5x"),
        (("--checkpoint_every", "0"), "received 0"),
    ],
)
def test_slips_are_sentences(args: tuple[str, ...], problem: str, fit: Fit, reviews: Path) -> None:
    code, _, err = fit("--task", "text", "--data.source", reviews, *SMALL, *args)
    assert (code, err.count("\n")) == (2, 1)
    assert problem in err
