"""A run that stops within an epoch resumes with the batches that it had not seen."""

from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

from lightfit.callbacks import EpochLines
from lightfit.datamodules import TextDataModule
from lightfit.lightning_modules import TextClassifier
from lightfit.lightning_modules.nets import NaiveBayesBag, TextCNN


class SaveAt(pl.Callback):
    """Saves a checkpoint after a step and notes the batches' first words."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path
        self.seen: list[list[int]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: object) -> None:
        (x, _) = args[1]  # type: ignore[misc]
        self.seen.append(x[:, 3].tolist())
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


def train(
    reviews: Path, saver: SaveAt, ckpt_path: Path | None = None, *others: pl.Callback
) -> tuple[torch.Tensor, pd.DataFrame]:
    pl.seed_everything(0, verbose=False)
    data = TextDataModule(str(reviews), max_len=10, batch_size=10, seed=3)
    data.setup()
    model = TextClassifier(TextCNN(data.codec.vocab_size, max_len=10), lr=0.01)
    options = {"enable_progress_bar": bool(others), "enable_model_summary": False, "enable_checkpointing": False}
    trainer = pl.Trainer(max_epochs=3, accelerator="cpu", logger=False, callbacks=[saver, *others], **options)  # type: ignore[arg-type]
    trainer.fit(model, datamodule=data, ckpt_path=ckpt_path)
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]), model.history


@pytest.mark.parametrize("step", [1, 7, 9, 13])
def test_the_rest_of_the_epoch_is_what_was_not_seen(step: int, reviews: Path, tmp_path: Path) -> None:
    whole = SaveAt(step, tmp_path / "a.ckpt")
    weights, _ = train(reviews, whole)
    rest = SaveAt(-1, tmp_path / "b.ckpt")
    resumed, _ = train(reviews, rest, tmp_path / "a.ckpt")
    assert rest.seen == whole.seen[step:]
    assert torch.equal(resumed, weights)


def test_lines_of_the_epoch_in_which_a_run_resumes(
    reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(reviews, SaveAt(9, tmp_path / "a.ckpt"))
    capsys.readouterr()
    train(reviews, SaveAt(-1, tmp_path / "b.ckpt"), tmp_path / "a.ckpt", EpochLines())
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch = ")]
    assert lines == ["epoch = 1", "epoch = 2"]


def test_ratio_of_a_resumed_net_is_that_of_the_checkpoint(reviews: Path, tmp_path: Path) -> None:
    data = TextDataModule(str(reviews), max_len=10, batch_size=10)
    data.setup()
    options = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    net = NaiveBayesBag(data.codec.vocab_size, num_buckets=100)
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, **options)  # type: ignore[arg-type]
    trainer.fit(TextClassifier(net, optimizer="Adagrad"), datamodule=data)
    assert net.log_count_ratio.abs().sum() > 0
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = TextClassifier.load(tmp_path / "a.ckpt", net=NaiveBayesBag(data.codec.vocab_size, num_buckets=100))
    assert torch.equal(loaded.net.log_count_ratio, net.log_count_ratio)  # type: ignore[union-attr]
