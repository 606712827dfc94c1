"""Figures and tables of a run: as files in its folder, and pictures in TensorBoard too."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lightfit.files import whole_file
from lightfit.lightning import pl


class Plot(Figure):
    """A figure of its own, without pyplot and its window; a notebook shows it as the picture it is."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        FigureCanvasAgg(self).print_png(picture)
        return picture.getvalue()

    def pixels(self) -> NDArray[np.uint8]:
        """Render the figure as a picture, (H, W, 3) uint8."""
        canvas = FigureCanvasAgg(self)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        # Figure and canvas hold each other: what they have drawn on would stay until Python collects such cycles.
        del canvas.renderer
        return pixels


def publish(trainer: pl.Trainer, figure: Plot, name: str, *, step: int) -> None:
    """Write a figure to `<run folder>/<name>/<step>.png` and to TensorBoard; drawn once, on the first rank.

    Args:
        trainer: the run's.
        figure: what to draw.
        name: name of the folder, and in TensorBoard.
        step: number of the epoch.
    """
    if not trainer.is_global_zero:
        return
    pixels = figure.pixels()
    path = run_folder(trainer) / name / f"epoch_{step:03d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(pixels, path)
    for logger in trainer.loggers:
        if isinstance(logger, pl.loggers.TensorBoardLogger):
            logger.experiment.add_image(name, pixels, step, dataformats="HWC")


def write_png(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write a picture (H, W, 3), under its final name only when it is whole."""
    with whole_file(path) as partial:
        Image.fromarray(pixels).save(partial, format="png")


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table, under its final name only when it is whole."""
    with whole_file(path) as partial:
        table.to_csv(partial, index=False)


def run_folder(trainer: pl.Trainer) -> Path:
    """Return the folder that a run writes into."""
    # As trainer.log_dir, which all processes would have to ask for at once.
    logger = trainer.logger
    folder = logger.log_dir if isinstance(logger, pl.loggers.TensorBoardLogger | pl.loggers.CSVLogger) else None
    return Path(folder or (logger and logger.save_dir) or trainer.default_root_dir)


def image_grid(images: Tensor, titles: list[str], *, columns: int = 8) -> Plot:
    """Draw images in rows, each with a title.

    Args:
        images: colours in [0, 1], (N, H, W, 3).
        titles: one for each.
        columns: number of images in a row.
    """
    rows = -(-len(images) // columns)
    figure = Plot(figsize=(1.45 * columns, 1.7 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for place, image, title in zip(axes, images.numpy(), titles, strict=False):
        place.imshow(image, interpolation="nearest")
        place.set_title(title, fontsize=8)
    for place in axes:
        place.set_axis_off()
    return figure


def is_epoch_due(trainer: pl.Trainer, every_n_epochs: int) -> bool:
    """Return whether this epoch is one of every n, or the last; never in the sanity check."""
    if trainer.sanity_checking:
        return False
    last = trainer.max_epochs is not None and trainer.current_epoch + 1 == trainer.max_epochs
    return last or trainer.current_epoch % every_n_epochs == 0


def check_every(every_n_epochs: int) -> int:
    """Check the argument and return it.

    Raises:
        ValueError: it is not at least 1.
    """
    if every_n_epochs < 1:
        raise ValueError(f"expected every_n_epochs of at least 1, received {every_n_epochs}")
    return every_n_epochs


def get_net(module: torch.nn.Module) -> torch.nn.Module:
    """Return the net that a LightningModule wraps as `net`; the module itself where it has none."""
    net = getattr(module, "net", None)
    return net if isinstance(net, torch.nn.Module) else module
