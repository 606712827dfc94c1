"""LightModel: a plain net made trainable by two methods, in the torchkeras manner."""

import inspect
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from typing_extensions import Self

from lightfit.checkpoint import check_size, is_plain, read_checkpoint
from lightfit.errors import CheckpointError
from lightfit.trust import build, check_trusted, only_trusted, own_module

from .distributed import gather_batches, get_world_size, weigh_batch
from .epoch_log import EpochLog, count_samples, decode_key, encode_key
from .nets.word_vectors import load_word_vectors


@runtime_checkable
class Adaptive(Protocol):
    """A net that learns something from the training data before its first step."""

    def adapt(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Adapt to every training batch `(x, y)`, on the net's device; called once, and never in a resumed run."""


Model = TypeVar("Model", bound=nn.Module)
OLD_NAMES = {"warm_up": "warmup"}  # of arguments, to their present names


@contextmanager
def _old_names_allowed() -> Iterator[None]:
    """Suppress the warnings about old names of arguments: they are a checkpoint's, and nobody has typed them."""
    with warnings.catch_warnings():
        for name in OLD_NAMES:
            warnings.filterwarnings("ignore", f"`{name}` is called", FutureWarning)
        yield


def rebuild(
    cls: type[Model],
    saved: Mapping[str, Any],
    state: Mapping[str, Tensor],
    *,
    net: nn.Module | None = None,
    trust: Collection[str] = (),
) -> Model:
    """Build the model, untrained, around `net`, or around the net whose class path and arguments LightningCLI saved.

    Args:
        cls: the class that is expected, or a parent of it.
        saved: the checkpoint's hyper-parameters.
        state: the checkpoint's weights: nothing that is far larger than these is built.
        net: the net, where the checkpoint does not describe how to build it.
        trust: packages whose classes may be built, beside the known ones and that of `cls`.

    Raises:
        UntrustedNameError: it names a class or function that is not known and not trusted.
        CheckpointError: no net is given and the checkpoint describes none, or the model is of another class.
    """
    arguments = {name: value for name, value in saved.items() if not name.startswith("_")}
    if net is not None:
        arguments.pop("net", None)  # how to build the one that was trained, where it was trained by a command
        with _old_names_allowed():
            return cls(net, **arguments)
    if "_class_path" not in saved:
        raise CheckpointError(
            f"the checkpoint does not describe how its net was built, since the model was made in Python as "
            f"{cls.__name__}(net): expected {cls.__name__}.load(path, net=the_net)"
        )
    trust = (*trust, *own_module(cls))
    check_trusted(saved, trust)
    path = str(saved["_class_path"])

    def make() -> Any:
        with only_trusted(trust), _old_names_allowed():
            return build(path, arguments)

    try:
        try:
            check_size(make, state)
        except CheckpointError:
            raise
        except Exception:
            if not trust:
                raise
            # A user's own net may look at values of tensors, which have none on the meta device.
        model = make()
    except CheckpointError:
        raise
    except Exception as error:  # a class of another project, or of another version, fails in any way
        raise CheckpointError(
            f"the checkpoint is of {path}, which cannot be built here: expected a class of this version of LightFit, "
            f"or one that can be imported. The cause: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(model, cls):
        raise CheckpointError(f"expected a checkpoint of {cls.__name__}, received one of {path}")
    return model


class LightModel(EpochLog):
    """Wraps a net; write `shared_step(batch) -> dict` and `configure_optimizers()`, and it trains.

    Every scalar that `shared_step` returns is logged once per epoch, as its mean over the samples: `loss` in
    training, `val_loss` in validation, `test_loss` in testing. torchmetrics given as `metrics` are for what is no
    mean of batches (F1, AUROC): they see the `"preds"` and `"target"` that `shared_step` returns beside the loss,
    in validation and test, each loader's apart.

    Args:
        net: the net, called by `forward`.
        metrics: torchmetrics by name.
    """

    is_initialised: bool = False  # whether the weights are those of another run, to be trained further
    quantiles: tuple[float, ...] = ()  # levels along the last dimension of what `predict_step` returns, if it has them

    def __init__(self, net: nn.Module | None = None, *, metrics: dict[str, Metric] | None = None) -> None:
        super().__init__()
        with warnings.catch_warnings():
            # Lightning advises ignore=["net"], with which a net given by class path could not be built again.
            warnings.filterwarnings("ignore", message="Attribute .* is an instance of `nn.Module`")
            self.save_hyperparameters()
        if names := self._list_unsaved_hparams():
            old_names = {old: new for old, new in OLD_NAMES.items() if old in names and self.hparams[old] is not None}
            renamed = {new: self.hparams[old] for old, new in old_names.items()}
            self.hparams.clear()
            self.save_hyperparameters(ignore=names)  # here, as it reads the arguments of the function that calls it
            self.hparams.update(renamed)
        self.net = net
        self._batch_before: Any = None  # of this rank, where there are several
        self.stage_metrics = nn.ModuleDict(
            {
                encode_key(f"{stage}_{name}"): metric.clone()
                for stage in ("val", "test")
                for name, metric in (metrics or {}).items()
            }
        )

        # By logged name. No modules of the model, as its checkpoint must not depend on the number of loaders.
        self._later_metrics: dict[str, Metric] = {}

    def _list_unsaved_hparams(self) -> list[str]:
        """List the arguments that are not plain data, old names, and those of parents that this class does not take."""
        taken, hparams = inspect.signature(type(self)).parameters, cast(dict[str, Any], self.hparams)
        old = [name for name, new in OLD_NAMES.items() if name in hparams and new in taken]
        return old + [n for n in hparams if not is_plain(hparams[n]) or not (n in taken or n.startswith("_"))]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the net."""
        if self.net is None:
            raise TypeError(f"{type(self).__name__} has no net: build it as {type(self).__name__}(net)")
        return self.net(*args, **kwargs)

    def shared_step(self, batch: Any) -> Mapping[str, Any]:
        """Compute a dict of scalars for a batch; `"loss"` is required, and training minimises it."""
        raise NotImplementedError(f"{type(self).__name__} must define shared_step(batch) and return {{'loss': ...}}")

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Run `shared_step`, and log its scalars under their own names.

        With several ranks the loss is weighed by the samples of the batch: a step is then that of one process with all
        their samples. A rank that has none at the end of an epoch repeats its batch before, with weight 0.
        """
        self._of_batch.clear()
        if get_world_size() == 1:
            return self._step(batch, "")
        num_samples = count_samples(batch)
        weight = weigh_batch(num_samples, self.device)
        if num_samples:
            self._batch_before = batch
        outputs = self._step(batch, "") if num_samples else dict(self.shared_step(self._batch_before))
        return outputs | {"loss": outputs["loss"] * weight}

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """Run `shared_step`, and log its scalars with `val_` before their names; a second loader's end in `_1`."""
        return self._step(batch, "val_", dataloader_idx)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """Run `shared_step`, and log its scalars with `test_` before their names; a second loader's end in `_1`."""
        return self._step(batch, "test_", dataloader_idx)

    def _step(self, batch: Any, prefix: str, dataloader_idx: int = 0) -> dict[str, Any]:
        outputs = dict(self.shared_step(batch))
        if "loss" not in outputs:
            raise KeyError(
                f"{type(self).__name__}.shared_step must return a dict with the key 'loss', received {sorted(outputs)}"
            )
        suffix = f"_{dataloader_idx}" if dataloader_idx else ""
        num_samples = count_samples(batch)
        for name, value in outputs.items():
            if isinstance(value, (int, float)) or (isinstance(value, Tensor) and value.ndim == 0):
                value = value if isinstance(value, Tensor) else torch.as_tensor(value, device=self.device)
                mean = self._mean(f"{prefix}{name}{suffix}")
                mean.add(value, num_samples)
                if not prefix:
                    self._of_batch.append(mean)
        if prefix and self.stage_metrics:
            self._update_metrics(outputs, prefix, suffix)
        return outputs

    def _update_metrics(self, outputs: Mapping[str, Any], prefix: str, suffix: str) -> None:
        if missing := {"preds", "target"} - set(outputs):
            raise KeyError(
                f"{type(self).__name__} has torchmetrics, so shared_step must also return 'preds' and 'target'; "
                f"missing: {sorted(missing)}"
            )
        for key, module in self.stage_metrics.items():
            name, metric = decode_key(key), cast(Metric, module)
            if name.startswith(prefix):
                name += suffix
                if suffix:
                    metric = self._metric_of_loader(name, metric)
                metric.update(outputs["preds"], outputs["target"])
                self._log_once(name, metric, f"stage_metrics.{key}")

    def _metric_of_loader(self, name: str, first: Metric) -> Metric:
        """Return the metric of a loader after the first one, whose metric is `first`; created at its first batch."""
        if name not in self._later_metrics:
            self._later_metrics[name] = first.clone()
            self._later_metrics[name].reset()  # of the first loader's samples
        metric = self._later_metrics[name]
        return metric if metric.device == first.device else metric.to(first.device)

    @property
    def starts_from_checkpoint(self) -> bool:
        """Return whether the run resumes, or starts from the weights of another one (`is_initialised`)."""
        return self.is_initialised or bool(self.trainer.ckpt_path)

    def _at_fit_start(self) -> None:
        """Load word vectors, if the net has a file of them, unless the run starts from a checkpoint."""
        super()._at_fit_start()
        if self.net is not None and not self.starts_from_checkpoint:
            load_word_vectors(self.net, getattr(self.trainer, "datamodule", None))

    def _at_train_start(self) -> None:
        """Show an adaptive net the training data, unless the run starts from a checkpoint."""
        super()._at_train_start()
        if isinstance(self.net, Adaptive) and not self.starts_from_checkpoint:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                self.net.adapt(self._training_batches())

    def _training_batches(self) -> Iterator[Any]:
        for batch in gather_batches(cast(Any, self.trainer.train_dataloader)):
            yield self.transfer_batch_to_device(batch, self.device, 0)

    @classmethod
    def load(cls, path: str | Path, *, net: nn.Module | None = None, trust: Collection[str] = ()) -> Self:
        """Load the model of a checkpoint, of the class that was trained, with its net, on the CPU in evaluation mode.

        Args:
            path: the checkpoint's file.
            net: the net, for a model that was built in Python around a custom net: such a net is code, which a
                checkpoint does not hold.
            trust: your own packages whose classes the checkpoint may name, beside that of this class.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is no checkpoint, or the checkpoint is of another class or another net.
        """
        return cls.from_checkpoint(read_checkpoint(path), net=net, trust=trust)

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Mapping[str, Any], *, net: nn.Module | None = None, trust: Collection[str] = ()
    ) -> Self:
        """Load the model of a checkpoint that is already read; as `load`."""
        state = checkpoint["state_dict"]
        model = rebuild(cls, checkpoint.get("hyper_parameters", {}), state, net=net, trust=trust)
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise CheckpointError(f"the checkpoint's weights do not fit {type(model.net).__name__}: {error}") from error
        model._load_log(checkpoint)
        model.on_load_checkpoint(dict(checkpoint))
        return model.eval()

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, trust: Collection[str] = (), **kwargs: Any) -> Self:
        """Load a model as Lightning does, but build no more than `load` would of what the file names.

        Raises:
            ValueError: as `load`.
        """
        checkpoint = read_checkpoint(checkpoint_path)
        hparams = checkpoint.get("hyper_parameters", {})
        if not {"_class_path", "_instantiator"} & set(hparams):  # made in Python: nothing is named
            with only_trusted((*trust, *own_module(cls))), _old_names_allowed():
                model = super().load_from_checkpoint(checkpoint_path, *args, **{"weights_only": True, **kwargs})
            model._load_log(checkpoint)
            return model
        taken = set(inspect.signature(super().load_from_checkpoint).parameters)
        own = {name: value for name, value in kwargs.items() if name not in taken and name != "net"}
        return cls.from_checkpoint(
            {**checkpoint, "hyper_parameters": {**hparams, **own}}, net=kwargs.get("net"), trust=trust
        )
