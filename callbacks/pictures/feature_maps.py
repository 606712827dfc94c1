"""Feature maps of one sample, as pictures."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lightfit.lightning import OneLightning, pl

from .guard import check_validates, find_images, watch
from .layers import Recorder, choose_layers
from .plots import Plot, check_every, get_net, is_epoch_due, publish
from .protocols import NamesPositions, find_codec, pictures

MAX_TICKS = 60


def plot_feature_maps(
    maps: dict[str, Tensor],
    *,
    num_maps: int = 4,
    image: Tensor | None = None,
    ticks: Sequence[str] | None = None,
) -> Plot:
    """Plot the first maps of each layer, a row for each layer, of the first sample.

    Args:
        maps: what `feature_maps` returned.
        num_maps: number of maps in a row.
        image: the picture itself, (H, W, 3) in [0, 1], for a row of its own.
        ticks: names of the input's positions, such as words, for maps along a sequence.
    """
    shown = {name: value[0].detach().float().cpu() for name, value in maps.items() if value.ndim in (3, 4)}
    offset = image is not None
    heights = [1.5] * offset + [
        1.5 if value.ndim == 3 else 0.25 * min(num_maps, len(value)) + 1.0 for value in shown.values()
    ]
    width = 1.5 * num_maps + 1.2 if all(value.ndim == 3 for value in shown.values()) else 12.0
    figure = Plot(figsize=(width, sum(heights) + 0.2), layout="constrained")
    grid = figure.add_gridspec(len(heights), num_maps, height_ratios=heights)
    if image is not None:
        _draw(figure.add_subplot(grid[0, 0]), image, "input")
    for row, (name, value) in enumerate(shown.items(), offset):
        if value.ndim == 2:
            _draw_sequence(figure.add_subplot(grid[row, :]), value[:num_maps], f"{name}\n{tuple(value.shape)}", ticks)
            continue
        for column, one in enumerate(value[:num_maps]):
            _draw(figure.add_subplot(grid[row, column]), one, f"{name}\n{tuple(value.shape)}" if column == 0 else "")
    return figure


def _draw(axes: Any, picture: Tensor, name: str) -> None:
    axes.imshow(picture.numpy(), cmap="viridis", interpolation="nearest")
    axes.set_ylabel(name, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_sequence(axes: Any, value: Tensor, name: str, ticks: Sequence[str] | None) -> None:
    length = len(ticks) if ticks is not None else value.shape[1]
    axes.imshow(
        value.numpy(), cmap="viridis", aspect="auto", interpolation="nearest", extent=(0, length, len(value), 0)
    )
    axes.set_ylabel(name, fontsize=8)
    axes.set_yticks([index + 0.5 for index in range(len(value))], [str(index) for index in range(len(value))])
    if ticks is not None:
        used = max((place + 1 for place, tick in enumerate(ticks) if tick), default=1)
        step = -(-used // MAX_TICKS)
        axes.set_xlim(0, used)
        axes.set_xticks([place + 0.5 for place in range(0, used, step)], ticks[:used:step], rotation=90, fontsize=7)


@watch
class FeatureMaps(OneLightning, pl.Callback):
    """Feature maps of the first validation sample, in TensorBoard and as `feature_maps/epoch_*.png`.

    It watches the forward pass that validation makes anyway.

    Args:
        layers: names of layers, or patterns of names; null: chosen, so that any net has some. Where a pattern matches
            none, or there is nothing to show, a warning says so once, and no picture is drawn.
        num_maps: number of maps of each layer.
        every_n_epochs: the epochs to show; the last one is always shown.
    """

    def __init__(self, layers: list[str] | None = None, *, num_maps: int = 4, every_n_epochs: int = 1) -> None:
        if num_maps < 1:
            raise ValueError(f"expected num_maps of at least 1, received {num_maps}")
        self.layers = layers
        self.num_maps = num_maps
        self.every_n_epochs = check_every(every_n_epochs)
        self._recorder: Recorder | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check that there are layers to show, and that they will run.

        Raises:
            ValueError: there are none.
        """
        check_validates(trainer)
        if not choose_layers(get_net(pl_module), self.layers):
            name = type(get_net(pl_module)).__name__
            raise ValueError(f"{name} has no convolution to show: name `layers`, or leave FeatureMaps out")

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Start to record, at the first batch."""
        due = trainer.sanity_checking or is_epoch_due(trainer, self.every_n_epochs)
        if batch_idx == dataloader_idx == 0 and due:
            self._recorder = Recorder(get_net(pl_module), self.layers)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop, and plot what was recorded."""
        if self._recorder is None:
            return
        maps = self._close().outputs
        if not any(output.ndim in (3, 4) for output in maps.values()):
            raise ValueError(
                "expected a layer with maps, (B, channels, H, W) or (B, channels, T), that `validation_step` runs; "
                f"received {', '.join(f'{name} {tuple(output.shape)}' for name, output in maps.items()) or 'none'}"
            )
        if trainer.sanity_checking:
            return
        x = batch[0] if isinstance(batch, (tuple, list)) else batch
        images, data = find_images(batch), find_codec(trainer)
        figure = plot_feature_maps(
            maps,
            num_maps=self.num_maps,
            image=None if images is None else pictures(trainer, images[:1])[0],
            ticks=data.ticks(x[0]) if isinstance(data, NamesPositions) else None,
        )
        publish(trainer, figure, "feature_maps", step=trainer.current_epoch)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remove the hooks."""
        if self._recorder is not None:
            self._close()

    def _close(self) -> Recorder:
        recorder, self._recorder = self._recorder, None
        assert recorder is not None
        recorder.__exit__()
        return recorder
