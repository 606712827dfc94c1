"""The base class of the DataModules. Of this package, only this file and `sampler` import Lightning."""

import inspect
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from typing_extensions import Self

from lightfit.checkpoint import read_checkpoint
from lightfit.errors import ChangedDataError, CheckpointError, DataError, NotSetUpError
from lightfit.lightning import OneLightning, pl
from lightfit.trust import build, check_trusted, only_trusted, own_module

from .codec import Codec, restore_codec, save_codec, set_examples, set_input
from .examples import MOST_EXAMPLES, Example
from .format_1 import upgrade_codec
from .lightning_internals import list_hparams
from .sampler import BatchSampler, ResumableLoader
from .samples import Batches, Loaded, Samples
from .splits import SPLITS, hold_out

Module = TypeVar("Module")
DATA_DIR = Path("data")  # against the working directory, when it is used


class DataModule(OneLightning, pl.LightningDataModule):
    """Read raw data, fit a codec on the training split, and serve batches `(x, y)`.

    The order of the samples depends on (seed, epoch, rank) alone. For a custom raw format, write `read` and
    `fit_codec`. Checkpoints store the codec, so that they predict without the data.

    Args:
        source: the file or folder of the raw data.
        batch_size: number of samples in a batch, on each device.
        val_fraction: fraction of train to hold out as val, where the data has no val split.
        fold: a fold of a cross-validation, such as 2/5: val is that fold of all samples outside the test split.
        seed: seed of the order of the samples, and of the split into train and val.
    """

    source_argument = "source"  # name of the argument that holds the path of the raw data
    reading_arguments: tuple[str, ...] = ("batch_size",)  # may change when a checkpoint is evaluated on another source
    imported_names: tuple[str, ...] = ()  # dotted paths in the arguments, other than classes, such as a tokenizer
    augments = False  # whether the training batches need the epoch, for random augmentation
    loader_workers = 0  # worker processes of the loaders

    def __init__(
        self,
        source: str = "",
        *,
        batch_size: int = 32,
        val_fraction: float = 0.2,
        fold: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"expected `batch_size` of at least 1, received {batch_size}")
        self.save_hyperparameters()
        keep_plain(self)
        self.source = source
        self.batch_size = batch_size
        self.val_fraction = val_fraction
        self.fold = fold
        self.seed = seed
        self._codec: Codec | None = None
        self._adopted: Codec | None = None  # of another run, in place of one that is fitted
        self._loaded: Loaded | None = None

    def read(self, source: str) -> Samples:
        """Read the raw data, without learning anything from it.

        Raises:
            DataError: the data is not as expected.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define read(source) and return Samples(inputs, targets=...); to write custom "
            "dataloaders instead, derive from pl.LightningDataModule"
        )

    def fit_codec(self, train: Samples) -> Codec:
        """Return a codec fitted on the training samples."""
        raise NotImplementedError(f"{type(self).__name__} must define fit_codec(train) and return a Codec")

    def load(self, source: str, codec: Codec | None = None) -> Loaded:
        """Read raw data, fit the codec, and encode each split.

        Args:
            source: the file or folder.
            codec: the codec of a checkpoint: nothing is then fitted, and no val split is held out.

        Raises:
            DataError: the data is not as expected, or does not fit the codec.
        """
        samples = self.read(source)
        rows = self._split(samples, held_out=codec is None)
        codec = codec or self._adopted or self.fit_codec(samples.take(rows["train"]))
        splits = {split: samples.take(own) for split, own in rows.items() if len(own)}
        sizes = ", ".join(f"{len(own):,} {split}" for split, own in splits.items())
        return Loaded(
            codec,
            {split: codec.batches(own) for split, own in splits.items()},
            description=f"{sizes} samples",
            find_places=lambda split: list(splits[split].places or ()),
        )

    def _split(self, samples: Samples, *, held_out: bool) -> dict[str, NDArray[np.int64]]:
        splits = np.array(samples.splits or ["train"] * len(samples))
        rows = {split: np.flatnonzero(splits == split) for split in SPLITS}
        if held_out and (self.fold is not None or not len(rows["val"])):
            train = np.union1d(rows["train"], rows["val"])
            targets = samples.target_tensor()[train]
            labels = np.zeros(len(train), np.int64) if targets.is_floating_point() else targets.numpy()
            kept, out = hold_out(
                labels, np.arange(len(train)), val_fraction=self.val_fraction, fold=self.fold, seed=self.seed
            )
            rows["train"], rows["val"] = train[kept], train[out]
        return rows

    def adopt(self, codec: Codec) -> None:
        """Take the codec of another run in place of one that is fitted, to train its model further on this data.

        Raises:
            ValueError: the data was read already.
        """
        if self._loaded is not None:
            raise ValueError(f"{type(self).__name__} has read its data already: call adopt() before setup()")
        self._codec = self._adopted = codec

    @property
    def codec(self) -> Codec:
        """Return the codec, fitted by `setup` or loaded from a checkpoint.

        Raises:
            NotSetUpError: there is no codec yet.
        """
        if self._codec is None:
            raise NotSetUpError(f"{type(self).__name__} has no codec before it has read its data: call setup() first")
        return self._codec

    @property
    def loaded(self) -> Loaded:
        """Return the data that `setup` read.

        Raises:
            NotSetUpError: `setup` was not called.
        """
        if self._loaded is None:
            raise NotSetUpError(f"{type(self).__name__} has not read its data: call setup() first")
        return self._loaded

    @property
    def splits(self) -> tuple[str, ...]:
        """Return the names of the splits that have samples."""
        return tuple(self.loaded.batches)

    @property
    def train_data(self) -> Batches:
        """Return the training samples."""
        return self.loaded.batches["train"]

    @property
    def val_data(self) -> Batches:
        """Return the validation samples."""
        return self.loaded.batches["val"]

    @property
    def test_data(self) -> Batches | None:
        """Return the test samples; None where the data has no test split."""
        return self.loaded.batches.get("test")

    @property
    def loss_weights(self) -> list[float] | None:
        """Return the weight of each class in the loss; None if all are 1."""
        return self.loaded.loss_weights

    def describe(self) -> str:
        """Return a summary of the data on one line."""
        found = "not read yet" if self._loaded is None else self._loaded.description
        return f"{self.source or type(self).__name__}: {found}"

    def raw_path(self) -> Path:
        """Return the file or folder of the raw data."""
        return Path(self.source)

    def find_places(self, split: str) -> list[str]:
        """Return the place of each sample of a split in the raw data, such as a file name or a line, in order."""
        return self.loaded.find_places(split)

    def remarks(self, scores: Mapping[str, float]) -> list[str]:
        """Return lines about the data to print at the end of a run.

        Args:
            scores: scores of the best epoch, such as `val_loss`, and of the test split, such as `test_loss`.
        """
        return []

    def setup(self, stage: str | None = None) -> None:
        """Read the data and fit the codec; later calls do nothing.

        Raises:
            DataError: a codec was loaded from a checkpoint, and the codec fitted on this data differs from it.
        """
        if self._loaded is not None:
            return
        self.prepare_data()
        loaded = self.load(self.source)
        if type(loaded.codec).dummy_batch is Codec.dummy_batch and loaded.codec.input_shape is None:
            x, _ = next(iter(loaded.batches.values()))[torch.arange(1)]
            set_input(loaded.codec, x.shape[1:], str(x.dtype).removeprefix("torch."))
        if self._codec is not None:
            self._check_same(self._codec, loaded.codec)
        self._codec, self._loaded = loaded.codec, loaded

    def load_splits(self) -> Mapping[str, Batches]:
        """Read the source for an evaluation, with its own splits, encoded by the codec of a checkpoint.

        Raises:
            DataError: the data does not fit the codec, for example because of an unknown class.
        """
        self.prepare_data()
        self._loaded = self.load(self.source, self.codec)
        return self._loaded.batches

    def _check_same(self, held: Codec, fitted: Codec) -> None:
        states = [
            {name: value for name, value in codec.to_dict().items() if name not in fitted.descriptive}
            for codec in (held, fitted)
        ]
        if states[0] != states[1]:
            raise ChangedDataError(
                f"'{self.source}' is no longer what the model was trained on: the codec fitted on its training split "
                "differs from the checkpoint's. Restore the data, or train again"
            )

    def train_dataloader(self) -> DataLoader:
        """Return the training batches, in a new order each epoch."""
        return self.dataloader("train")

    def val_dataloader(self) -> DataLoader:
        """Return the validation batches, each sample once."""
        return self.dataloader("val")

    def test_dataloader(self) -> DataLoader:
        """Return the test batches, each sample once.

        Raises:
            ValueError: the data has no test split.
        """
        return self.dataloader("test")

    def dataloader(self, split: str, *, shuffle: bool | None = None) -> DataLoader:
        """Return the batches of a split.

        Args:
            split: `train`, `val` or `test`.
            shuffle: whether to reorder the samples each epoch; by default only for train.

        Raises:
            ValueError: the data has no such split.
        """
        if split not in self.loaded.batches:
            raise ValueError(f"{type(self).__name__}: this data has no {split} split, only {', '.join(self.splits)}")
        data, shuffle = self.loaded.batches[split], split == "train" if shuffle is None else shuffle
        trainer = self.trainer
        sampler = BatchSampler(
            len(data),
            batch_size=self.choose_batch_size(split),
            shuffle=shuffle,
            seed=self.seed,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            start=self._start if shuffle else lambda: (0, 0),
            lengths=self.loaded.lengths if shuffle else None,
            weights=self.loaded.sample_weights if shuffle else None,
            with_epoch=shuffle and self.augments,
        )
        loader = ResumableLoader(
            data,  # type: ignore[arg-type]
            sampler=sampler,
            batch_size=None,  # the sampler yields the indices of a whole batch, and the data returns whole batches
            collate_fn=pass_batch,
            num_workers=self.loader_workers,
            pin_memory=self.loader_workers > 0 and torch.cuda.is_available(),
        )
        if trainer and shuffle:
            loader.progress = trainer.fit_loop.epoch_loop.batch_progress
        return loader

    def choose_batch_size(self, split: str) -> int:
        """Return the number of samples in a batch of a split, on each device."""
        return self.batch_size

    def _start(self) -> tuple[int, int]:
        """Return the epoch to start, and the number of its batches that a resumed run has already trained on."""
        if self.trainer is None:
            return 0, 0
        loop: Any = self.trainer.fit_loop
        # Not the trainer's current_epoch, which a run resumed at the end of an epoch corrects only later.
        epoch = loop.epoch_progress.current.processed
        return epoch, loop.epoch_loop.batch_progress.current.processed if loop.restarting else 0

    def keep_examples(self, count: int) -> None:
        """Keep training samples in the codec, and so in each checkpoint, for those who try the model.

        Args:
            count: number of samples.

        Raises:
            ValueError: the number is below 1, or above `MOST_EXAMPLES`.
            NotSetUpError: `setup` was not called.
            DataError: samples of this kind cannot be kept.
        """
        if not 1 <= count <= MOST_EXAMPLES:
            raise ValueError(f"expected `keep_examples` from 1 to {MOST_EXAMPLES}, received {count}")
        set_examples(self.codec, self.list_examples(count))

    def list_examples(self, count: int) -> list[Example]:
        """Return samples of the training split as plain data, at most `count`.

        Raises:
            DataError: samples of this kind cannot be kept.
        """
        raise DataError(
            f"{type(self).__name__} keeps no examples: define list_examples(count), or leave `keep_examples` out"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the codec as plain data, for a checkpoint."""
        if self._codec is None:
            return {}
        return {"codec": save_codec(self._codec)} | ({} if self._adopted is None else {"adopted": True})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the codec from a checkpoint; if the data was already read, check that its codec is the same.

        Raises:
            DataError: the data has changed since the checkpoint was written.
            CheckpointError: the codec cannot be built.
        """
        held = state_dict.get("codec") or upgrade_codec(type(self).__name__, self.hparams, state_dict)
        own = type(self) if self._codec is None else type(self._codec)
        codec = restore_codec(held, (*own_module(type(self)), *own_module(own)))
        if self._loaded is not None:
            self._check_same(codec, self.codec)
            if codec.examples and not self.codec.examples:
                set_examples(self.codec, codec.examples)
        else:
            self._codec = codec
            self._adopted = codec if state_dict.get("adopted") else None

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Mapping[str, Any], *, trust: Collection[str] = (), changes: Mapping[str, Any] = {}
    ) -> Self:
        """Build the DataModule of a checkpoint, with its codec but without data.

        Args:
            checkpoint: content of the checkpoint file.
            trust: packages whose classes the checkpoint may name.
            changes: arguments that replace the checkpoint's, such as another source.

        Raises:
            ValueError: as `rebuild`.
        """
        return rebuild(cls, checkpoint, trust, changes)

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, trust: Collection[str] = (), **kwargs: Any) -> Self:
        """Load a DataModule as Lightning does, but import only the classes that `from_checkpoint` allows.

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


def pass_batch(batch: Any) -> Any:
    """Return the batch unchanged, as collate function of a loader; importable by name, as workers require."""
    return batch


def keep_plain(module: Any) -> None:
    """Drop the hyper-parameters that are not plain data, since a checkpoint stores nothing else."""
    for hparams in list_hparams(module):
        for name in list(hparams):
            try:
                json.dumps(hparams[name])
            except TypeError:
                del hparams[name]


def find_codec(checkpoint: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the codec of a checkpoint as plain data in the current format; None if it has none.

    Lightning stores a DataModule's state under the name of its class.
    """
    for value in checkpoint.values():
        if isinstance(value, dict) and isinstance(value.get("codec"), dict):
            return value["codec"]
    hparams = checkpoint.get("datamodule_hyper_parameters", {})
    name = str(hparams.get("_class_path", "")).rpartition(".")[2]
    state = checkpoint.get(name)
    return upgrade_codec(name, hparams, state) if isinstance(state, dict) else None


def load_codec(checkpoint: Mapping[str, Any], trust: Collection[str] = ()) -> Codec:
    """Return the codec of a checkpoint.

    Args:
        checkpoint: content of the checkpoint file.
        trust: packages whose classes the checkpoint may name, beside the known ones.

    Raises:
        UntrustedNameError: the checkpoint names a class or function that is neither known nor trusted.
        CheckpointError: the checkpoint has no codec, or the codec cannot be built.
    """
    held = find_codec(checkpoint)
    if held is None:
        path = checkpoint.get("datamodule_hyper_parameters", {}).get("_class_path")
        raise CheckpointError(
            "the checkpoint has no codec, so raw inputs cannot be encoded: expected data of a lightfit.DataModule, "
            f"received {path or 'data of a custom kind'}. Derive it from lightfit.DataModule, with read() and "
            "fit_codec(), and train again; or predict from tensors in Python: Model.load(path, net=the_net)"
        )
    codec = restore_codec(held, trust)
    hparams, state = checkpoint.get("datamodule_hyper_parameters", {}), held["state"]
    for name in set(hparams) & set(state):
        # One of them was changed by hand; None is what the data was asked to tell, such as the frequency of a series.
        if isinstance(state[name], str) and hparams[name] not in (None, state[name]):
            raise CheckpointError(
                f"the checkpoint contradicts itself: its codec has {name} '{state[name]}', and its DataModule "
                f"'{hparams[name]}'. It is damaged or forged, and nothing was run"
            )
    return codec


def rebuild(
    cls: type[Module], checkpoint: Mapping[str, Any], trust: Collection[str], changes: Mapping[str, Any] = {}
) -> Module:
    """Build the DataModule of a checkpoint, with its codec but without data.

    Args:
        cls: the expected class, or a parent of it.
        checkpoint: content of the checkpoint file.
        trust: packages whose classes may be built, beside the known ones and the package of `cls`.
        changes: arguments that replace the checkpoint's, such as another source.

    Raises:
        UntrustedNameError: the checkpoint names a class or function that is neither known nor trusted.
        CheckpointError: the checkpoint names no DataModule, because another project wrote it or the model was trained
            in Python; or the class cannot be built here.
    """
    hparams = dict(checkpoint.get("datamodule_hyper_parameters", {}))
    if "_class_path" not in hparams:
        raise CheckpointError(
            "the checkpoint does not name its DataModule: expected a checkpoint of a run from a preset or a command "
            "line, not one of another project. A model trained in Python predicts there: Model.load(path, net=the_net)"
        )
    trust = (*trust, *own_module(cls))
    check_trusted(hparams, trust)
    path = str(hparams["_class_path"])
    arguments = {name: value for name, value in hparams.items() if not name.startswith("_")}
    try:
        with only_trusted(trust):
            module = build(path, {**arguments, **changes})
    except CheckpointError:
        raise
    except Exception as error:  # the class of another project or version may raise anything
        if changes:
            raise
        raise CheckpointError(
            f"the checkpoint's DataModule {path} cannot be built here: expected a class of this version of LightFit, "
            f"or one that can be imported. The cause: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(module, cls):
        raise CheckpointError(f"expected a checkpoint of {cls.__name__}, received one of {type(module).__name__}")
    if isinstance(module, DataModule):
        module._codec = load_codec(checkpoint, trust)
        states = [value for value in checkpoint.values() if isinstance(value, dict) and "codec" in value]
        module._adopted = module._codec if any(state.get("adopted") for state in states) else None
    return module
