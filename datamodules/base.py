"""What the DataModules of all domains share: order, loaders, and state in the checkpoint."""

import inspect
from abc import abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from typing_extensions import Self

from datamodules.batches import Batches, as_it_is
from datamodules.codec import Codec
from datamodules.namespace import pl
from datamodules.rebuild import keep_plain, rebuild
from datamodules.sampler import BatchSampler, ResumableLoader
from lightfit.checkpoint import read_checkpoint
from lightfit.trust import only_trusted, own_module

DATA_DIR = Path("data")  # against the working directory, when it is used


class DataModule(pl.LightningDataModule, Codec):
    """Raw data to `(x, y)` batches, in an order that depends on (seed, epoch, rank) alone.

    A subclass reads its raw data in `_read`, once, and sets `train_data`, `val_data` and, where there is one,
    `test_data`. Whatever it learns from the training data goes into `state_dict`, so that a checkpoint predicts
    without the data.

    Args:
        batch_size: number of samples in a batch, on each device.
        seed: seed of the order of samples, and of the split into train and val.
    """

    train_data: Batches
    val_data: Batches
    test_data: Batches | None = None
    lengths: Tensor | None = None  # of the training samples, for batches of similar ones
    sample_weights: Tensor | None = None  # how often each training sample is drawn, in proportion
    augments = False  # whether the training data asks for the epoch, to change its samples at random
    loader_workers = 0  # processes that make the batches
    loss_weights: list[float] | None = None  # what an error counts, by class
    source_argument: str  # name of the argument that says where the raw data is
    imported_names: tuple[str, ...] = ()  # dotted paths that arguments name, beside classes, such as a tokenizer's
    reading_arguments: tuple[str, ...] = ()  # of those that may differ where a checkpoint reads another source

    def __init__(self, *, batch_size: int, seed: int) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"expected batch_size of at least 1, received {batch_size}")
        self.save_hyperparameters()
        keep_plain(self)
        self.batch_size = batch_size
        self.seed = seed
        self._ready = False

    @abstractmethod
    def _read(self) -> None:
        """Sets the data of all stages and what is learned from the training part; called once."""

    @abstractmethod
    def read_parts(self) -> dict[str, Batches]:
        """The parts of raw data to evaluate on, by name: encoded by what a checkpoint told, nothing is learned.

        Raises:
            DataError: the data does not fit what the checkpoint knows, such as a class that it lacks.
        """

    @abstractmethod
    def describe(self) -> str:
        """One line: what was found in the data."""

    @abstractmethod
    def raw_path(self) -> Path:
        """The file or folder of the raw data."""

    @abstractmethod
    def val_places(self) -> list[str]:
        """Where each validation sample stands in the raw data, in order."""

    @abstractmethod
    def tabulate(self, outputs: Mapping[str, Tensor]) -> pd.DataFrame:
        """What an evaluation says of each sample, as a row: predictions, and the truth beside them.

        Args:
            outputs: by name: `preds` (N, num_classes) and `target` (N,), or `forecast`.
        """

    @property
    def units(self) -> dict[str, list[float]] | None:
        """What undoes the scaling of forecasts; None where nothing is forecast."""
        return None

    def remarks(self, scores: Mapping[str, float]) -> list[str]:
        """What is to be said of the data at the end of a run.

        Args:
            scores: what the best epoch gave, such as `val_loss`, and the test part, such as `test_loss`.
        """
        return []

    def setup(self, stage: str | None = None) -> None:
        """Reads the data, the first time."""
        if not self._ready:
            self.prepare_data()
            self._read()
            self._ready = True

    def train_dataloader(self) -> DataLoader:
        """Training batches, in a new order each epoch."""
        return self._loader(self.train_data, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Validation batches: every sample once."""
        return self._loader(self.val_data, shuffle=False)

    def test_dataloader(self) -> DataLoader:
        """Test batches: every sample once.

        Raises:
            ValueError: the data has no test part.
        """
        if self.test_data is None:
            raise ValueError(f"{type(self).__name__}: this data has no test part, only train and val")
        return self._loader(self.test_data, shuffle=False)

    def test_on(self, part: Batches) -> None:
        """Makes a part, such as one of `read_parts`, the test part; no more is read."""
        self.test_data, self._ready = part, True

    def _loader(self, data: Batches, *, shuffle: bool) -> DataLoader:
        trainer = self.trainer
        sampler = BatchSampler(
            len(data),
            batch_size=self.batch_size,
            shuffle=shuffle,
            seed=self.seed,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            start=self._start if shuffle else lambda: (0, 0),
            lengths=self.lengths if shuffle else None,
            weights=self.sample_weights if shuffle else None,
            with_epoch=shuffle and self.augments,
        )
        loader = ResumableLoader(
            data,  # type: ignore[arg-type]
            sampler=sampler,
            batch_size=None,  # the sampler yields whole batches, and the data answers with whole batches
            collate_fn=as_it_is,
            num_workers=self.loader_workers,
            pin_memory=self.loader_workers > 0 and torch.cuda.is_available(),
        )
        if trainer and shuffle:
            loader.progress = trainer.fit_loop.epoch_loop.batch_progress
        return loader

    def _start(self) -> tuple[int, int]:
        """The epoch that begins, and how many of its batches a resumed run has done."""
        if self.trainer is None:
            return 0, 0
        loop: Any = self.trainer.fit_loop
        # Not the trainer's current_epoch, which a run that goes on after an epoch corrects only later.
        epoch = loop.epoch_progress.current.processed
        return epoch, loop.epoch_loop.batch_progress.current.processed if loop.restarting else 0

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Mapping[str, Any], *, trust: Collection[str] = (), changes: Mapping[str, Any] = {}
    ) -> Self:
        """Build the DataModule of a checkpoint that is read, with all it learned from its training data, but no data.

        Args:
            checkpoint: what is in the file.
            trust: packages of one's own whose classes it may name.
            changes: arguments in the place of the checkpoint's, such as another source.

        Raises:
            ValueError: as `rebuild`.
        """
        return rebuild(cls, checkpoint, trust, changes)

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, trust: Collection[str] = (), **kwargs: Any) -> Self:
        """Load a DataModule as Lightning does, but build no more than `from_checkpoint` would of what the file names.

        Raises:
            ValueError: as `rebuild`.
        """
        checkpoint = read_checkpoint(checkpoint_path)
        hparams = checkpoint.get("datamodule_hyper_parameters", {})
        if not {"_class_path", "_instantiator"} & set(hparams):  # made in Python: no class is named
            with only_trusted((*trust, *own_module(cls))):
                return super().load_from_checkpoint(checkpoint_path, *args, **{"weights_only": True, **kwargs})
        taken = set(inspect.signature(super().load_from_checkpoint).parameters)
        own = {name: value for name, value in kwargs.items() if name not in taken}
        return cls.from_checkpoint(checkpoint, trust=trust, changes=own)
