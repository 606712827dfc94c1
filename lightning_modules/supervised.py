"""What models of labelled samples have in common: optimizer, schedule, fine-tuning, and what is fitted on val."""

import logging
import math
import time
from collections.abc import Callable
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import DistributedSampler
from torchmetrics import Metric
from typing_extensions import Self

from .distributed import gather_batches, wrap_again
from .finetuning import (
    FineTuning,
    choose_head,
    find_head,
    freeze_modules,
    group_parameters,
    list_backbone_parameters,
    load_pretrained,
    read_pretrained_state,
)
from .frozen_features import FrozenFeatures
from .light_model import LightModel
from .optimizers import OptimizerChoice, ScheduleChoice, add_schedule, choose_warmup, find_optimizer, make_optimizer

log = logging.getLogger(__name__)
AUGMENTATION = ("mix", "augment", "shift", "cutout", "train")  # arguments of `transforms`, off by default


class SupervisedModel(LightModel):
    """A net that is trained on (x, y) by an optimizer with a schedule; a base class.

    A subclass with `fits_on_val` learns something from the validation split: what its `shared_step` passes to
    `keep_for_fit` in a validation of a fit comes to `fit_on_val`, of all ranks, before the epoch's checkpoint is saved.

    Args:
        net: the net.
        lr: learning rate, the highest of the schedule.
        optimizer: name of a class of torch.optim, such as Adam, AdamW or SGD; or the path of any class, with its own
            arguments, such as `betas`.
        weight_decay: L2 penalty (decoupled in AdamW).
        momentum: Nesterov's, for SGD.
        schedule: constant, cosine or linear (down to 0), one_cycle (straight up for a quarter of the steps, then down);
            or the path of a class, such as torch.optim.lr_scheduler.StepLR, with its own arguments.
        warmup: fraction of all steps in which the rate rises from 0 before a constant, cosine or linear schedule.
        finetune: pretrained weights, and how long to freeze them.
        metrics: torchmetrics by name.
        train_metrics: whether training has these metrics too.
        warm_up: the old name of `warmup`, which still works.
    """

    net: nn.Module
    target_kind: ClassVar[str | None] = None  # kind of the codec's target that the model is for; None: any

    def __init__(
        self,
        net: nn.Module,
        *,
        lr: float = 1e-3,
        optimizer: OptimizerChoice = "Adam",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        schedule: ScheduleChoice = "constant",
        warmup: float = 0.0,
        finetune: FineTuning = FineTuning(),
        metrics: dict[str, Metric] | None = None,
        train_metrics: bool = False,
        warm_up: float | None = None,
    ) -> None:
        super().__init__(net, metrics=metrics, train_metrics=train_metrics)
        self.lr = lr
        self.optimizer = find_optimizer(optimizer)
        self.weight_decay = weight_decay
        self.momentum = momentum
        self.schedule = schedule
        self.warmup = choose_warmup(warmup, warm_up)
        # A dict where it comes from the plain data of a checkpoint, around a custom net.
        asked = FineTuning(**finetune) if isinstance(finetune, dict) else finetune
        self.finetune = choose_head(asked, net)
        self._says_no_head = asked.head == "auto" and not self.finetune.head
        self._backbone = list_backbone_parameters(net) if self.finetune.frozen_epochs else []
        self._frozen = False
        self._features: FrozenFeatures | None = None  # while, or after, the head alone is fitted
        self._val_outputs: list[tuple[Tensor, ...]] | None = None  # in a validation of a fit, by the batch

    @property
    def fits_on_val(self) -> bool:
        """Return whether `fit_on_val` learns anything; the base class returns False."""
        return False

    @property
    def is_fitting_on_val(self) -> bool:
        """Return whether a validation of a fit is running, at whose end `fit_on_val` is called."""
        return self._val_outputs is not None

    def keep_for_fit(self, *rows: Tensor) -> None:
        """Keep tensors of a validation batch, (B, ...) each, for `fit_on_val`; nothing outside a fit's validation."""
        if self._val_outputs is not None:
            self._val_outputs.append(tuple(item.detach() for item in rows))

    def fit_on_val(self, *rows: Tensor) -> None:
        """Learn from the validation split; the base class learns nothing.

        Args:
            rows: what `keep_for_fit` received, of all samples and ranks, (N, ...) each.
        """

    def predict_step(self, batch: Any, batch_idx: int = 0, dataloader_idx: int = 0) -> Tensor:
        """Predict the samples of a batch, with what was learned from the validation split."""
        return self.predict_from(self(batch[0] if isinstance(batch, (tuple, list)) else batch))

    def predict_from(self, output: Tensor) -> Tensor:
        """Turn the output of the net, (B, ...), into predictions (B, ...) float32."""
        raise NotImplementedError(f"{type(self).__name__} must define predict_from(output)")

    def register_fitted(self, **defaults: Tensor) -> None:
        """Register buffers for what is fitted on val; checkpoints without them keep the default values.

        Args:
            defaults: their values before the first fit.
        """
        for name, value in defaults.items():
            self.register_buffer(name, value)
        self.register_load_state_dict_pre_hook(_make_adder(defaults))

    def _check_output(self, output: Tensor, y: Tensor) -> Tensor:
        """Return targets as (B, K) float32, where the net's output has that shape.

        Raises:
            ValueError: it has another one.
        """
        y = y.reshape(len(y), -1).to(output.dtype if output.is_floating_point() else torch.float32)
        if output.shape != y.shape:
            raise ValueError(
                f"{type(self.net).__name__} returned {tuple(output.shape)} for targets {tuple(y.shape)}: expected an "
                "output for each label or number; a net takes their count as its argument `num_outputs`"
            )
        return y

    def _at_validation_epoch_start(self) -> None:
        """Keep what `fit_on_val` needs from here on, in a validation of a fit."""
        super()._at_validation_epoch_start()
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self._fit_head()
        fitting = self.trainer.state.fn == "fit" and not self.trainer.sanity_checking
        self._val_outputs = [] if fitting and self.fits_on_val else None

    def _at_validation_epoch_end(self) -> None:
        """Learn from the validation split, the same on all ranks."""
        super()._at_validation_epoch_end()
        if self._val_outputs is not None:
            batches, self._val_outputs = list(gather_batches(self._val_outputs)), None
            if batches:
                self.fit_on_val(*(torch.cat([item.cpu() for item in rows]) for rows in zip(*batches, strict=True)))

    def _at_fit_start(self) -> None:
        """Load pretrained weights, unless the run starts from a checkpoint; the log names them."""
        super()._at_fit_start()
        if not self.starts_from_checkpoint:
            self._load_weights()
        if self.finetune.head:
            self._prepare_features()
        elif self._says_no_head and self.finetune.weights is not None:
            name = type(self.net).__name__
            log.info("`finetune.head` auto: %s ends in no linear layer, so the whole net is trained", name)

    def _load_weights(self) -> None:
        weights = self.finetune.weights
        if weights is None:
            return
        started = time.monotonic()
        state = read_pretrained_state(weights, self.net) if self.trainer.local_rank == 0 else None
        self.trainer.strategy.barrier()  # one process of a machine downloads, the others find it done
        loaded = load_pretrained(
            self.net, state or read_pretrained_state(weights, self.net), rewrites=self.finetune.rewrites
        )
        log.info("weights from %s, in %.1f s\n%s", weights, time.monotonic() - started, loaded)

    def _prepare_features(self) -> None:
        """Have the head fitted on features in the first epoch, which is the only one of `finetune.head` linear."""
        if self.finetune.weights is None:
            log.warning("`finetune.head` %s without `finetune.weights`: the backbone is untrained", self.finetune.head)
        self._features = FrozenFeatures(self.net, find_head(self.net))
        if unused := _list_augmentation(getattr(self.trainer, "datamodule", None)):
            then = (
                ": leave it out, or take linear_then_full" if self.finetune.head == "linear" else " in its first epoch"
            )
            log.warning(
                "`finetune.head` %s computes the features of each image once, without %s%s",
                *(self.finetune.head, ", ".join(unused), then),
            )
        if self.finetune.head == "linear" and self.trainer.max_epochs != 1:
            log.info("one epoch: with `finetune.head` linear nothing is learned in a second one")
            self.trainer.fit_loop.max_epochs = 1

    @property
    def _is_collecting(self) -> bool:
        """Return whether this is the epoch in which features are collected for the head."""
        return self._features is not None and self.current_epoch == 0

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the net; while its backbone is frozen for `finetune.head`, batches that were seen before are known."""
        if self._features is not None and len(args) == 1 and not kwargs:
            return self._features(args[0])
        return super().forward(*args, **kwargs)

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Make the step of the parent class; keep the features for `finetune.head`."""
        outputs = super().training_step(batch, batch_idx)
        if self._features is not None and self._is_collecting:
            self._features.keep(batch[1], is_first=batch_idx == 0)
        return outputs

    def _fit_head(self) -> None:
        """Fit the head to the features of the epoch, and log its scores as those of the epoch."""
        features = self._features
        if features is None or not self._is_collecting:
            return
        training = self.training
        with torch.inference_mode(False), torch.enable_grad():
            if not features.is_complete:  # a run that was resumed within the epoch
                self._collect_again(features)
            x, y = (item.to(self.device) for item in features.gather())
            self.train()
            started = time.monotonic()
            penalty = features.solve(x, y, lambda rows, labels: self.shared_step((rows, labels))["loss"])
            features.solver = features.head
            with torch.no_grad():
                scores = self.shared_step((x, y))
            features.solver = None
        self.train(training)
        for optimizer in self.trainer.optimizers:
            optimizer.state.clear()  # of steps that the solution replaced
        for name, mean in self._train_means().items():
            mean.reset()
            mean.add(scores[name].detach(), len(x))
        log.info(
            "the head fits the features of %s samples, %s each, with L2 penalty %g; %.1f s",
            *(f"{len(x):,}", f"{x.shape[1]:,}", penalty, time.monotonic() - started),
        )

    def _collect_again(self, features: FrozenFeatures) -> None:
        """Compute the features of the batches of the first epoch, all of them and as they were."""
        data: Any = getattr(self.trainer, "datamodule", None)
        loader: Any = self.trainer.train_dataloader
        if isinstance(getattr(loader, "sampler", None), DistributedSampler) and hasattr(data, "dataloader"):
            loader = data.dataloader("train")
            loader.sampler.start = lambda: (0, 0)
            loader.sampler.with_epoch = False
        precision = self.trainer.precision_plugin
        self.train()
        # Later epochs draw the random numbers that they would have drawn without the interruption.
        with torch.random.fork_rng(devices=[]), precision.train_step_context():
            for index, batch in enumerate(islice(loader, _count(self.trainer.num_training_batches))):
                x, y = self.transfer_batch_to_device(precision.convert_input(batch), self.device, 0)
                if len(y):
                    features(x)
                features.keep(y, is_first=index == 0)

    def _at_train_start(self) -> None:
        """Freeze the backbone where it is to be; here too, as a resumed run may not see its epoch begin."""
        super()._at_train_start()
        self._begin_epoch()

    def _at_train_epoch_start(self) -> None:
        """Unfreeze the backbone when its time has come."""
        super()._at_train_epoch_start()
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        """Leave augmentation out and the backbone frozen while `finetune.head` is fitted, or the reverse after it."""
        if self.finetune.head:
            sampler: Any = getattr(self.trainer.train_dataloader, "sampler", None)
            if hasattr(sampler, "with_epoch"):  # without the epoch images are not augmented
                sampler.with_epoch = self.current_epoch > 0 and bool(self.trainer.datamodule.augments)
            if self.current_epoch > 0:
                self._features = None
        self._freeze_backbone()

    def _open_row(self) -> None:
        """Append the epoch's row to the history; in an epoch without validation the head is fitted only now."""
        if self._features is not None and not self._features.is_solved:
            self._fit_head()
        super()._open_row()

    def _freeze_backbone(self) -> None:
        if self.finetune.frozen_epochs:
            self._frozen = self.current_epoch < self.finetune.frozen_epochs
            changed = [item for item in self._backbone if item.requires_grad == self._frozen]
            for parameter in changed:
                parameter.requires_grad_(not self._frozen)
            if changed:
                wrap_again(self.trainer.strategy)
            self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode as of any module; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if mode and self._frozen:
            freeze_modules(self.net)
        return self

    def configure_optimizers(self) -> Any:
        """Build the optimizer over all parameters, with the schedule."""
        parameters: Any = self.parameters()
        finetune = self.finetune
        if finetune.backbone_lr != 1 or finetune.layer_decay != 1:
            parameters = group_parameters(
                self.net, lr=self.lr, backbone_lr=finetune.backbone_lr, layer_decay=finetune.layer_decay
            )
        optimizer = make_optimizer(
            self.optimizer, parameters, lr=self.lr, weight_decay=self.weight_decay, momentum=self.momentum
        )
        return add_schedule(optimizer, self.schedule, self.trainer, warmup=self.warmup)


def _list_augmentation(data: Any) -> list[str]:
    """List the arguments of a DataModule of images that change training images beyond crop and flip, where set."""
    transforms = getattr(data, "transforms", None)
    return [f"`transforms.{name}`" for name in AUGMENTATION if getattr(transforms, name, None) not in (None, 0, "none")]


def _count(num_batches: float) -> int | None:
    return int(num_batches) if math.isfinite(num_batches) else None


def _make_adder(defaults: dict[str, Tensor]) -> Callable[..., None]:
    def add_missing(module: nn.Module, state: dict[str, Any], prefix: str, *args: Any) -> None:
        """Add what a checkpoint does not hold, which was written before it was fitted on val."""
        for name, value in defaults.items():
            state.setdefault(f"{prefix}{name}", value.clone())

    return add_missing
