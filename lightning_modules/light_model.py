"""LightModel: a plain net made trainable by two methods, in the torchkeras manner."""

import inspect
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torchmetrics import Metric
from typing_extensions import Self

from lightfit.checkpoint import is_plain, read_checkpoint
from lightfit.errors import CheckpointError
from lightfit.trust import only_trusted, own_module

from .batch_size import count_samples
from .distributed import gather_batches, get_world_size, weigh_batch
from .living import copy_net, remember
from .metric_log import MetricLog
from .nets.word_vectors import load_word_vectors
from .optimizers import combine
from .rebuild import OLD_NAMES, allow_old_names, rebuild
from .step_outputs import UNLOGGED, ScalarReader, read_outputs

OBJECTS = ("loss_fn", "metrics_dict", "optimizer", "lr_scheduler")  # arguments that are built in Python, or absent
LR = 0.01  # of torchkeras 3 where no optimizer is given


@contextmanager
def _uncopied(*modules: object) -> Iterator[None]:
    """Have `copy.deepcopy` return modules themselves: Lightning copies all arguments, and would hold weights twice."""
    own = [module for module in modules if isinstance(module, nn.Module) and not hasattr(module, "__deepcopy__")]
    for module in own:
        module.__dict__["__deepcopy__"] = lambda memo, module=module: module
    try:
        yield
    finally:
        for module in own:
            del module.__dict__["__deepcopy__"]


@runtime_checkable
class Adaptive(Protocol):
    """A net that learns something from the training data before its first step."""

    def adapt(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Adapt to every training batch `(x, y)`, on the net's device; called once, and never in a resumed run."""


class LightModel(MetricLog):
    """Wraps a net; write `shared_step(batch) -> dict` and `configure_optimizers()`, and it trains.

    Every scalar that `shared_step` returns is logged once per epoch, as its mean over the samples: `loss` in
    training, `val_loss` in validation, `test_loss` in testing. torchmetrics given as `metrics` are for what is no
    mean of batches (F1, AUROC): they see the `"preds"` and `"target"` that `shared_step` returns beside the loss,
    in validation and test, each loader's apart.

    Without a subclass, as in torchkeras 3: `LightModel(net, loss_fn=..., metrics_dict=..., optimizer=...)` trains on
    batches `(x, y)`.

    Args:
        net: the net, called by `forward`.
        loss_fn: from the net's output and `y` to the loss, for a class without a `shared_step` of its own.
        metrics_dict: torchmetrics by name, in training too: `metrics` with `train_metrics`.
        optimizer: an optimizer, or a function of the parameters that returns one, for a class without
            `configure_optimizers` of its own; by default Adam with torchkeras' rate of 0.01.
        lr_scheduler: its schedule, or a function of the optimizer that returns one; a step for each epoch.
        metrics: torchmetrics by name.
        train_metrics: whether training has these metrics too.
        nets: others by name, or all of them, as in `LightModel(encoder=..., decoder=...)`: `self.encoder`.

    Raises:
        TypeError: `metrics` or `metrics_dict` has something else than torchmetrics, or both are given; an argument is
            unknown, and no net.
    """

    is_initialised: bool = False  # whether the weights are those of another run, to be trained further
    quantiles: tuple[float, ...] = ()  # levels along the last dimension of what `predict_step` returns, if it has them

    def __init__(
        self,
        net: nn.Module | None = None,
        *,
        loss_fn: Callable[..., Tensor] | None = None,
        metrics_dict: Mapping[str, Metric] | None = None,
        optimizer: Optimizer | Callable[..., Optimizer] | None = None,
        lr_scheduler: Any = None,
        metrics: Mapping[str, Metric] | None = None,
        train_metrics: bool = False,
        **nets: nn.Module,
    ) -> None:
        if metrics_dict and metrics:
            raise TypeError("expected `metrics` or `metrics_dict`, received both: `metrics_dict` is of training too")
        super().__init__(metrics_dict or metrics or {}, train_metrics=train_metrics or bool(metrics_dict))
        with warnings.catch_warnings(), _uncopied(net, *nets.values()):
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
        for name, part in nets.items():
            self._add_net(name, part)
        # Only what is given: a subclass may have methods or attributes of these names.
        if loss_fn is not None:
            self.loss_fn = loss_fn
        self._given_optimizer, self._given_scheduler = optimizer, lr_scheduler
        self._scalars = ScalarReader()
        self._batch_before: Any = None  # of this rank, where there are several
        remember(self)

    def _list_unsaved_hparams(self) -> list[str]:
        """List the arguments that are not plain data, old names, and those of parents that this class does not take."""
        taken, hparams = inspect.signature(type(self)).parameters, cast(dict[str, Any], self.hparams)
        old = [name for name, new in OLD_NAMES.items() if name in hparams and new in taken]
        objects = [name for name in OBJECTS if name in hparams and hparams[name] is None]
        unknown = [n for n in hparams if not is_plain(hparams[n]) or not (n in taken or n.startswith("_"))]
        return [*old, *objects, *unknown]

    def _add_net(self, name: str, net: nn.Module) -> None:
        if not isinstance(net, nn.Module):
            raise TypeError(
                f"{type(self).__name__} takes no argument `{name}`: expected the ones that help({type(self).__name__}) "
                f"lists, or an nn.Module to be kept as self.{name}; received {type(net).__name__}"
            )
        if hasattr(self, name):
            raise TypeError(f"a net cannot be named `{name}`, as {type(self).__name__} has an attribute of this name")
        self.add_module(name, net)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the net."""
        if self.net is None:
            name = type(self).__name__
            raise TypeError(f"{name} has no net: build it as {name}(net), or define forward where it has several")
        return self.net(*args, **kwargs)

    def shared_step(self, batch: Any) -> Any:
        """Compute a dict of scalars for a batch; `"loss"` is required, and training minimises it.

        Numbers of any kind are logged, and vectors by class where they are of another length than the batch. The loss
        alone may be returned too.

        Here the dict is that of `loss_fn` for a batch `(x, y)`, with the predictions and labels for the metrics.
        """
        if not hasattr(self, "loss_fn"):
            name = type(self).__name__
            raise NotImplementedError(
                f"{name} must define shared_step(batch) and return {{'loss': ...}}, or be built with a loss: "
                f"{name}(net, loss_fn=...)"
            )
        x, y = batch
        preds = self(x)
        return {"loss": self.loss_fn(preds, y), "preds": preds, "target": y}

    def configure_optimizers(self) -> Any:
        """Return the optimizer and the schedule that the model was built with."""
        if self._given_optimizer is None and not hasattr(self, "loss_fn"):
            name = type(self).__name__
            raise NotImplementedError(
                f"{name} must define configure_optimizers(), or be built with an optimizer: {name}(net, optimizer=...)"
            )
        return combine(self._given_optimizer or Adam(self.parameters(), lr=LR), self._given_scheduler, self)

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Run `shared_step`, and log its scalars under their own names.

        With several ranks the loss is weighed by the samples of the batch: a step is then that of one process with all
        their samples. A rank that has none at the end of an epoch repeats its batch before, with weight 0.
        """
        self._of_batch.clear()
        if get_world_size() == 1:
            return self._step(batch, "")
        num_samples = self.batch_size_of(batch)
        weight = weigh_batch(num_samples, self.device)
        if num_samples:
            self._batch_before = batch
        outputs = self._step(batch, "") if num_samples else self._repeat_step()
        return outputs | {"loss": outputs["loss"] * weight}

    def _repeat_step(self) -> dict[str, Any]:
        return read_outputs(self.shared_step(self._batch_before), type(self).__name__, training=True)

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """Run `shared_step`, and log its scalars with `val_` before their names; a second loader's end in `_1`."""
        return self._step(batch, "val_", dataloader_idx)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """Run `shared_step`, and log its scalars with `test_` before their names; a second loader's end in `_1`."""
        return self._step(batch, "test_", dataloader_idx)

    def predict_step(self, batch: Any, batch_idx: int = 0, dataloader_idx: int = 0) -> Any:
        """Call the net with a batch, or with the inputs of `(x, y)`: the first item of a tuple or list."""
        return self(batch[0] if isinstance(batch, (tuple, list)) else batch)

    def batch_size_of(self, batch: Any) -> int:
        """Return the number of samples in a batch, by which means are weighted; override it for what it can't know."""
        return count_samples(batch)

    def _step(self, batch: Any, prefix: str, loader: int = 0) -> dict[str, Any]:
        outputs = read_outputs(self.shared_step(batch), type(self).__name__, training=not prefix)
        num_samples = self.batch_size_of(batch)
        for name, value in outputs.items():
            if isinstance(value, Tensor) and not value.ndim and name not in UNLOGGED:
                self._add(prefix, name, loader, value, num_samples)
            else:
                for entry, scalar in self._scalars.read(
                    name, value, num_samples, device=self.device, name_entries=self._name_classes
                ):
                    self._add(prefix, entry, loader, scalar, num_samples)
        self._update_metrics(outputs, prefix, loader)
        return outputs

    def _add(self, prefix: str, name: str, loader: int, value: Tensor, num_samples: int) -> None:
        mean = self._open_means.get((prefix, name, loader))
        if mean is None:
            mean = self._open_mean(prefix, name, loader)
        mean.add(value, num_samples)
        if not prefix:
            self._of_batch.append(mean)

    @property
    def starts_from_checkpoint(self) -> bool:
        """Return whether the run resumes, or starts from the weights of another one (`is_initialised`)."""
        return self.is_initialised or bool(self.trainer.ckpt_path)

    def _at_fit_start(self) -> None:
        """Load word vectors, if the net has a file of them, unless the run starts from a checkpoint."""
        super()._at_fit_start()
        self._check_optimization()
        if self.net is not None and not self.starts_from_checkpoint:
            load_word_vectors(self.net, getattr(self.trainer, "datamodule", None))

    def _check_optimization(self) -> None:
        """Check that somebody makes the steps: Lightning does not with `automatic_optimization = False`.

        Raises:
            TypeError: nobody does.
        """
        if not self.automatic_optimization and not own_module(cast(Any, type(self).training_step)):
            raise TypeError(
                f"{type(self).__name__} has automatic_optimization = False and no training_step of its own, so nothing "
                "would be learned: expected training_step(batch, batch_idx) that calls super().training_step for the "
                "loss, then self.manual_backward(loss) and the steps of self.optimizers()"
            )

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
    def load(
        cls, path: str | Path, *, net: nn.Module | None = None, trust: Collection[str] = (), **arguments: Any
    ) -> Self:
        """Load the model of a checkpoint, of the class that was trained, with its net, on the CPU in evaluation mode.

        Args:
            path: the checkpoint's file.
            net: the net, for a model that was built in Python around a custom net: such a net is code, which a
                checkpoint does not hold. Several nets are given by their names.
            trust: your own packages whose classes the checkpoint may name, beside that of this class.
            arguments: others of the class, such as `loss_fn` and `metrics_dict` for a further test; those that are
                plain data are in the checkpoint.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is no checkpoint, or the checkpoint is of another class or another net.
        """
        return cls.from_checkpoint(read_checkpoint(path), net=net, trust=trust, **arguments)

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: Mapping[str, Any],
        *,
        net: nn.Module | None = None,
        trust: Collection[str] = (),
        **arguments: Any,
    ) -> Self:
        """Load the model of a checkpoint that is already read; as `load`."""
        state = checkpoint["state_dict"]
        hparams = {**checkpoint.get("hyper_parameters", {}), **arguments}
        model = rebuild(cls, hparams, state, net=net, trust=trust)
        if not hasattr(model, "loss_fn"):  # predictions need none
            state = {name: value for name, value in state.items() if not name.startswith("loss_fn.")}
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

        Where no net is given and the checkpoint describes none, as of a model that was made in Python, the net is
        copied from a model of this process that has such weights.

        Raises:
            ValueError: as `load`.
        """
        checkpoint = read_checkpoint(checkpoint_path)
        hparams = checkpoint.get("hyper_parameters", {})
        if not {"_class_path", "_instantiator"} & set(hparams):  # made in Python: nothing is named
            given = {"weights_only": True, **kwargs}
            with only_trusted((*trust, *own_module(cls))), allow_old_names():
                try:
                    model = super().load_from_checkpoint(checkpoint_path, *args, **given)
                except RuntimeError:  # the weights do not fit
                    if "net" in given or "net" not in inspect.signature(cls).parameters:
                        raise
                    given["net"] = copy_net(cls, checkpoint["state_dict"])
                    model = super().load_from_checkpoint(checkpoint_path, *args, **given)
            model._load_log(checkpoint)
            return model
        taken = set(inspect.signature(super().load_from_checkpoint).parameters)
        own = {name: value for name, value in kwargs.items() if name not in taken and name != "net"}
        return cls.from_checkpoint(checkpoint, net=kwargs.get("net"), trust=trust, **own)
