"""Forecasts of series, alone or with quantiles around them."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from .distributed import gather_batches
from .intervals import compute_conformal_scale, compute_conformity_scores, compute_coverage_and_width, scale_quantiles
from .light_model import LightModel
from .losses import forecast_loss, quantile_loss, window_mean
from .metrics import absolute_percentage_error
from .optimizers import OptimizerChoice, ScheduleChoice, add_schedule, choose_warmup, find_optimizer, make_optimizer

SCORED_BATCHES = 16  # training batches that are scored, at most, in an epoch without a gradient


class Windows(Protocol):
    """Windows by index: a tensor of indices to (x, y)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]: ...


@runtime_checkable
class FittedOnWindows(Protocol):
    """A net that is solved for on all windows at once, with intervals of its own.

    Its first epoch leaves the solution as it is. Later ones train it by gradient, if it learns so; else there are none.
    """

    is_refit: bool  # whether it forecasts by the solution of training and validation windows, or of the former alone

    @property
    def learns_by_gradient(self) -> bool:
        """Return whether a gradient may improve on the solution."""

    def fit_windows(self, train: Windows, val: Windows, quantiles: Sequence[float]) -> None:
        """Solve for all weights; the same on every rank. Called once, and never in a resumed run."""


class SeriesForecaster(LightModel):
    """A net that forecasts the steps after a window, alone or with quantiles around them.

    Args:
        net: windows (B, L, F) to forecasts (B, P, C), or to quantiles (B, P, C, Q). One that is fitted on windows, such
            as ForecastCombination, is solved for before the first epoch.
        lr: learning rate, the highest of the schedule.
        optimizer: name of a class of torch.optim, such as Adam, AdamW or SGD; or the path of any class, with its own
            arguments, such as `betas`.
        weight_decay: L2 penalty (decoupled in AdamW).
        schedule: constant, cosine or linear (down to 0), one_cycle (straight up for a quarter of the steps, then down),
            halving (to a half after each epoch); or the path of a class, such as torch.optim.lr_scheduler.StepLR, with
            its own arguments.
        warmup: fraction of all steps in which the rate rises from 0 before a constant, cosine or linear schedule.
        loss: mse, mae, huber, mspe (the cookbook's squared percentage), or quantile (the pinball loss, for intervals).
        quantiles: levels of the quantiles, rising, their middle one 0.5; used with the quantile loss.
        calibrate: after each validation of a fit, compute the conformal scale of the intervals that tests and
            predictions get: with it they would have covered as much of the validation split as they should.
        units: of each target `mean` and `std`, which undo its scaling, and `naive_error`, by which MASE divides; the
            data sets them.
        metrics: torchmetrics by name: they see the forecasts and the truth, as far as it is known.
        train_metrics: whether training has these metrics too.
        warm_up: the old name of `warmup`, which still works.
    """

    net: nn.Module
    scales: Tensor | None
    conformal_scale: Tensor  # of each pair of quantiles, the outermost first, (Q // 2,)

    def __init__(
        self,
        net: nn.Module,
        *,
        lr: float = 1e-3,
        optimizer: OptimizerChoice = "Adam",
        weight_decay: float = 0.0,
        schedule: ScheduleChoice | Literal["halving"] = "constant",
        warmup: float = 0.0,
        loss: Literal["mse", "mae", "huber", "mspe", "quantile"] = "mse",
        quantiles: tuple[float, ...] = (0.1, 0.5, 0.9),
        calibrate: bool = False,
        units: dict[str, list[float]] | None = None,
        metrics: dict[str, Metric] | None = None,
        train_metrics: bool = False,
        warm_up: float | None = None,
    ) -> None:
        super().__init__(net, metrics=metrics, train_metrics=train_metrics)
        check_quantiles(quantiles)
        self.lr = lr
        self.optimizer = find_optimizer(optimizer)
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.warmup = choose_warmup(warmup, warm_up)
        self.loss = loss
        self.quantiles = tuple(quantiles) if loss == "quantile" else ()
        self.calibrate = calibrate
        self._conformity: list[Tensor] | None = None  # scores in a validation of a fit, by the batch
        self.register_buffer("conformal_scale", torch.ones(len(self.quantiles) // 2))
        self.register_load_state_dict_pre_hook(_rename_scale)
        scales = None if units is None else torch.tensor([units[name] for name in ("mean", "std", "naive_error")])
        self._is_scaled = units is not None and (any(units["mean"]) or any(std != 1 for std in units["std"]))
        self.register_buffer("scales", scales, persistent=False)

    def shared_step(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Compute `loss` and `mae`; in evaluation all scores, and the `forecast` itself."""
        x, y = batch
        forecast = self(x)
        self._check_shape(forecast, y)
        loss = quantile_loss(forecast, y, self.quantiles) if self.quantiles else forecast_loss(forecast, y, self.loss)
        point = forecast[..., len(self.quantiles) // 2] if self.quantiles else forecast
        scores = {"loss": loss, "mae": window_mean((point - y).abs(), y)}
        if not self.measures:
            return scores
        if self._conformity is not None:
            self._conformity.append(compute_conformity_scores(forecast, y))
        if self.stage_metrics:
            known = ~y.isnan()
            scores |= {"preds": point[known], "target": y[known]}
        return scores | self._scores(forecast, point, y) | {"forecast": forecast}

    def _scores(self, forecast: Tensor, point: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Compute scores in scaled units and, where these differ from them, in original ones."""
        error = point - y
        scores = {"mse": window_mean(error.square(), y)}
        if self.scales is None:
            scores["mape"] = window_mean(absolute_percentage_error(point, y), y)
        else:
            mean, std, naive_error = self.scales
            scores["mape"] = window_mean(absolute_percentage_error(point * std + mean, y * std + mean), y)
            scores["mase"] = window_mean(error.abs() / naive_error, y)
            if self._is_scaled:
                scores["mae_original"] = window_mean(error.abs() * std, y)
                scores["mse_original"] = window_mean((error * std).square(), y)
        if self.quantiles:
            scores["coverage"], scores["width"] = compute_coverage_and_width(forecast, y)
        return scores

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Forecast with the net; quantiles in rising order.

        Source: Chernozhukov et al. 2010, "Quantile and Probability Curves Without Crossing", section 2.
        """
        if isinstance(self.net, FittedOnWindows):
            self.net.is_refit = not self._is_scoring_val()
        forecast = super().forward(*args, **kwargs)
        if not self.quantiles:
            return forecast
        forecast = forecast.sort(-1).values
        if self.training or self._conformity is not None:
            return forecast
        return scale_quantiles(forecast, self.conformal_scale)

    def _at_validation_epoch_start(self) -> None:
        """Collect conformity scores from here on, in a validation of a fit."""
        super()._at_validation_epoch_start()
        fitting = self.trainer.state.fn == "fit" and not self.trainer.sanity_checking
        has_intervals = isinstance(self.net, FittedOnWindows)
        self._conformity = [] if self.calibrate and self.quantiles and fitting and not has_intervals else None

    def _at_validation_epoch_end(self) -> None:
        """Compute the conformal scale from the validation's conformity scores."""
        super()._at_validation_epoch_end()
        if self._conformity is not None:
            scores = torch.cat(list(gather_batches(self._conformity)))
            self.conformal_scale = compute_conformal_scale(scores.to(self.device), self.quantiles)
            self._conformity = None
        if isinstance(self.net, FittedOnWindows) and self.trainer.state.fn == "fit":
            self.trainer.should_stop |= not self.net.learns_by_gradient and not self.trainer.sanity_checking

    def _at_train_start(self) -> None:
        """Solve for the weights of a net that is fitted on windows, unless the run resumes from a checkpoint."""
        super()._at_train_start()
        if not isinstance(self.net, FittedOnWindows):
            return
        if self.trainer.ckpt_path:
            if self.trainer.current_epoch and not self.net.learns_by_gradient:
                self.trainer.should_stop = True  # the run had come to its end
        else:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                self.net.fit_windows(*self._collect_windows(), self.quantiles)

    def _collect_windows(self) -> tuple[Windows, Windows]:
        """Return the windows of train and val: the DataModule's, or those of the loaders."""
        data: Any = getattr(self.trainer, "datamodule", None)
        loaded = getattr(data, "loaded", None)
        if loaded is not None:
            batches = [loaded.batches[name] for name in ("train", "val")]
            find = getattr(data, "windows", None)  # where the windows lie, which a SeriesDataModule knows
            series = [None if find is None else torch.from_numpy(find(name).series) for name in ("train", "val")]
            train = IndexedWindows(batches[0], series[0])
            return train, train if batches[0] is batches[1] else IndexedWindows(batches[1], series[1])
        loaders: Any = self.trainer.val_dataloaders
        loader = loaders[0] if isinstance(loaders, (list, tuple)) else loaders
        collected = CollectedWindows(gather_batches(cast(Any, self.trainer.train_dataloader)))
        return collected, collected if loader is None else CollectedWindows(gather_batches(loader))

    def _is_scoring_val(self) -> bool:
        """Return whether windows of train or val are scored: by what was learned on train alone."""
        trainer = self._trainer
        if self.training or trainer is None or trainer.state.status != "running":
            return self.training
        # `split`: of the DataModule with which the command evaluates val as Lightning's test.
        of_val = getattr(getattr(trainer, "datamodule", None), "split", "test") in ("train", "val")
        return trainer.state.fn in ("fit", "validate") or (trainer.state.fn == "test" and of_val)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Any]:
        """Run a step; of a net that is solved for, the first epoch has a gradient of 0, and few batches are scored."""
        net = self.net
        if not isinstance(net, FittedOnWindows) or (net.learns_by_gradient and self.trainer.current_epoch > 0):
            return super().training_step(batch, batch_idx)
        every = max(1, math.ceil(self.trainer.num_training_batches / SCORED_BATCHES))
        outputs: dict[str, Any] = {}
        if batch_idx % every == 0 and len(batch[0]):
            with torch.no_grad():
                outputs = super().training_step(batch, batch_idx)
        nothing = sum(parameter.sum() * 0 for parameter in self.parameters())
        return {**outputs, "loss": outputs.get("loss", torch.zeros((), device=self.device)) + nothing}

    def _check_shape(self, forecast: Tensor, y: Tensor) -> None:
        expected = (*y.shape, len(self.quantiles)) if self.quantiles else tuple(y.shape)
        if forecast.shape != expected:
            raise ValueError(
                f"{type(self.net).__name__} returned forecasts {tuple(forecast.shape)}, expected {expected}: windows, "
                "steps, targets, and with `loss` quantile the quantiles (the net's argument `num_quantiles`)"
            )

    def configure_optimizers(self) -> Any:
        """Build the optimizer over all parameters, with the schedule."""
        optimizer = make_optimizer(self.optimizer, self.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        return add_schedule(optimizer, self.schedule, self.trainer, warmup=self.warmup)


class IndexedWindows:
    """Windows of a DataModule.

    Args:
        batches: windows by index.
        series: index of the series of each window, (M,); None if it is not known.
    """

    def __init__(self, batches: Windows, series: Tensor | None) -> None:
        self.batches = batches
        self.series = series

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the windows of some indices, and what follows them."""
        return self.batches[index]


class CollectedWindows:
    """Windows of a loader's batches.

    Args:
        batches: batches (x, y).
    """

    def __init__(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        x, y = zip(*batches, strict=True)
        self.x, self.y = torch.cat(x), torch.cat(y)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the windows of some indices, and what follows them."""
        return self.x[index], self.y[index]


def _rename_scale(module: nn.Module, state: dict[str, Any], prefix: str, *args: Any) -> None:
    """Rename the conformal scale of a checkpoint of format 1, which calls it `stretch`."""
    if f"{prefix}stretch" in state:
        state[f"{prefix}conformal_scale"] = state.pop(f"{prefix}stretch")


def check_quantiles(quantiles: Sequence[float]) -> None:
    """Check that quantiles rise and that their middle one is the median.

    Raises:
        ValueError: they do not, or it is not.
    """
    inside = all(0 < q < 1 for q in quantiles) and list(quantiles) == sorted(set(quantiles))
    if not inside or len(quantiles) % 2 == 0 or quantiles[len(quantiles) // 2] != 0.5:
        raise ValueError(
            "expected quantiles that rise within (0, 1) around 0.5, such as [0.1, 0.5, 0.9], received "
            f"{list(quantiles)}"
        )
