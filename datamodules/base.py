"""What the DataModules of all domains share: codec, order, loaders, and state in the checkpoint."""

import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from typing_extensions import Self

from lightfit.checkpoint import read_checkpoint
from lightfit.errors import BadInput, CheckpointError, DataError
from lightfit.lightning import OneLightning, pl
from lightfit.trust import build, check_trusted, only_trusted, own_module

from .sampler import BatchSampler, ResumableLoader


class Batches(Protocol):
    """Data that hands out a whole batch for a tensor of indices, or for the epoch and one."""

    def __len__(self) -> int: ...

    def __getitem__(self, asked: Any) -> tuple[Tensor, Tensor]: ...


def as_it_is(batch: Any) -> Any:
    """The batch itself: in place of a loader's collation, and by name, as workers need it."""
    return batch


class Codec(ABC):
    """Encodes raw samples and decodes predictions, by what was learned from the training part."""

    @property
    @abstractmethod
    def example_input(self) -> str:
        """An argument that `scripts/predict.py` would take for this data, to show its use."""

    @abstractmethod
    def stream_inputs(self, inputs: list[str], column: str | int | None = None) -> Iterator[Any]:
        """The raw samples that the arguments of `scripts/predict.py` stand for, in order; `BadInput` for a bad one."""

    def read_inputs(self, inputs: list[str], column: str | int | None = None) -> list[Any]:
        """All of `stream_inputs`, as a list.

        Raises:
            DataError: one of them is bad.
        """
        samples = []
        for sample in self.stream_inputs(inputs, column):
            if isinstance(sample, BadInput):
                raise DataError(sample.problem)
            samples.append(sample)
        return samples

    @property
    @abstractmethod
    def request_schema(self) -> dict[str, Any]:
        """The JSON schema of what `from_request` takes."""

    @abstractmethod
    def from_request(self, body: dict[str, Any]) -> list[Any]:
        """The raw samples of a JSON request, in order; `BadInput` for a bad one.

        Raises:
            DataError: the request is not of `request_schema`.
        """

    @abstractmethod
    def from_upload(self, name: str, content: bytes) -> list[Any]:
        """The raw samples of an uploaded file, in order; `BadInput` for a bad one.

        Args:
            name: name of the file; its ending tells the format.
            content: what is in it.

        Raises:
            DataError: it is no file of samples.
        """

    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """What it takes to encode samples and to read predictions without LightFit, as plain data."""

    @abstractmethod
    def example_batch(self) -> Tensor:
        """Two samples as the net gets them, made up."""

    @abstractmethod
    def encode(self, samples: Sequence[Any]) -> Tensor:
        """Raw samples to a batch for the net."""

    @abstractmethod
    def decode(self, samples: Sequence[Any], predictions: Tensor, quantiles: Sequence[float] = ()) -> pd.DataFrame:
        """What the model's predictions say of raw samples, in rows: as many for each, one sample after the other.

        Args:
            samples: what was encoded.
            predictions: what `predict_step` returned for them.
            quantiles: levels along its last dimension, if it has them.
        """

    @property
    @abstractmethod
    def limits(self) -> list[str]:
        """What a model of this data is not meant for, a sentence each."""


Module = TypeVar("Module")


def rebuild(
    cls: type[Module], checkpoint: Mapping[str, Any], trust: Collection[str], changes: Mapping[str, Any] = {}
) -> Module:
    """Build the DataModule of a checkpoint, with all it learned from its training data, but no data.

    Args:
        cls: the class that is expected, or a parent of it.
        checkpoint: what is in the file.
        trust: packages whose classes may be built, beside the known ones and that of `cls`.
        changes: arguments in the place of the checkpoint's, such as another source.

    Raises:
        UntrustedNameError: it names a class or function that is not known and not trusted.
        CheckpointError: the checkpoint does not say which, as one of another project or of a model that was trained in
            Python, or it names a class that cannot be built here.
    """
    hparams = dict(checkpoint.get("datamodule_hyper_parameters", {}))
    if "_class_path" not in hparams:
        raise CheckpointError(
            "the checkpoint does not say how its data was encoded: expected one that scripts/fit.py wrote, not one of "
            "another project or of a model trained in Python, which predicts there: Model.load(path, net=the_net)"
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
    except Exception as error:  # a class of another project, or of another version, fails in any way
        if changes:
            raise
        raise CheckpointError(
            f"the checkpoint's data is of {path}, which cannot be built here: expected a class of this version of "
            f"LightFit, or one that can be imported. The cause: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(module, cls):
        raise CheckpointError(f"expected a checkpoint of {cls.__name__}, received one of {type(module).__name__}")
    state = checkpoint.get(type(module).__qualname__)
    if state is None and not _learns(type(module)):
        return module  # it learns nothing
    if state is None:
        raise CheckpointError(
            f"the checkpoint lacks what {type(module).__name__} learned from its data: it is incomplete"
        )
    module.load_state_dict(state)  # type: ignore[attr-defined]
    return module


def _learns(cls: Any) -> bool:
    return cls.state_dict is not pl.LightningDataModule.state_dict


def keep_plain(module: Any) -> None:
    """Drops the hyper-parameters that are no plain data: a checkpoint holds nothing else."""
    for hparams in (module._hparams, module._hparams_initial):
        for name in list(hparams):
            try:
                json.dumps(hparams[name])
            except TypeError:
                del hparams[name]


DATA_DIR = Path("data")  # against the working directory, when it is used


class DataModule(OneLightning, pl.LightningDataModule, Codec):
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


SHOWN_CHARS = 60  # of an input, beside its label


class LabelledDataModule(DataModule):
    """Samples with a class each."""

    @property
    @abstractmethod
    def class_names(self) -> list[str]:
        """The names of the classes, in the order of the net's outputs."""

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def limits(self) -> list[str]:
        """What a classifier is not meant for."""
        return [
            f"Anything but these {self.num_classes} classes: every input gets one of them, even where none fits.",
            "Data of another kind or origin than the training's: the scores above say nothing of it; measure them with "
            "scripts/evaluate.py on labelled data of your own first.",
            "Decisions about people without a person who looks at them: errors are spread unevenly over groups, and "
            "nothing here has measured how.",
        ]

    def tabulate(self, outputs: Mapping[str, Tensor]) -> pd.DataFrame:
        """A row for each sample: `label`, `predicted`, and the probability of each class."""
        probabilities, names = outputs["preds"], self.class_names
        named = {"label": outputs["target"], "predicted": probabilities.argmax(1)}
        columns = {title: [names[number] for number in numbers.tolist()] for title, numbers in named.items()}
        return pd.DataFrame(columns).join(pd.DataFrame(probabilities.numpy(), columns=names).add_prefix("probability_"))

    def decode(
        self, samples: Sequence[Any], predictions: Tensor, quantiles: Sequence[float] = (), *, top: int = 1
    ) -> pd.DataFrame:
        """A row for each sample: `label` and `probability`, then `label_2` and so on, and the `file` or the `input`.

        Args:
            samples: what was encoded.
            predictions: probabilities (B, num_classes).
            quantiles: none.
            top: number of classes to name, the most probable ones.
        """
        probabilities, numbers = predictions.topk(top, 1)
        columns: dict[str, list[Any]] = {}
        for place in range(top):
            end = f"_{place + 1}" if place else ""
            columns[f"label{end}"] = [self.class_names[number] for number in numbers[:, place].tolist()]
            columns[f"probability{end}"] = [round(value, 6) for value in probabilities[:, place].tolist()]
        return pd.DataFrame(columns | _shown(samples))


def _shown(samples: Sequence[Any]) -> dict[str, list[Any]]:
    if all(isinstance(sample, Path) for sample in samples):
        return {"file": [str(sample) for sample in samples]}
    texts = [sample for sample in samples if isinstance(sample, str)]
    if len(texts) < len(samples):
        return {}  # decoded images have no name
    return {"input": [text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 3]}..." for text in texts]}
