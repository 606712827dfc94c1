"""Figures of a run: as files in its folder, and in its loggers."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lightfit.files import whole_file
from lightfit.lightning import pl

from ..logs.run_folder import make_run_folder
from .fonts import find_fonts, find_missing
from .guard import describe_error, warn_once
from .names import measure_width, wrap

TITLE_FONT = 8  # points, of what stands above and below a picture
COLUMN_INCHES = 0.068  # width of a column of text in that font
LINE_INCHES = 0.15  # height of a line in it
GAP_INCHES = 0.06  # around a picture in a grid
TITLE_COLUMNS = 20  # of a line above a picture in a grid; names that do not fit into two get wider pictures
WIDE_TITLE_COLUMNS = 28


class Plot(Figure):
    """A figure of its own, without pyplot and its window; a notebook shows it as the picture it is.

    Names in any script are drawn, with a font that has them, and a `$` in a name is a dollar sign.
    """

    def draw(self, renderer: Any) -> None:
        """Draw the figure, each text in fonts that have its characters."""
        for text in self._list_texts():
            _prepare_text(text)
        with _without_warnings_of_glyphs():
            super().draw(renderer)

    def _list_texts(self) -> Iterator[Any]:
        yield from self.texts
        for axes in self.axes:
            if not axes.axison:  # without looking at its ticks, which would then be made
                yield from (axes.title, *axes.texts)
                continue
            axes.get_xticklabels()  # fills the texts in, which are empty until they are drawn
            axes.get_yticklabels()
            yield from axes.findobj(Text)

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


def _prepare_text(text: Any) -> None:
    """Add fonts for the characters that the text's font lacks; leave only formulas that matplotlib wrote itself."""
    string = text.get_text()
    if "$" in string and "\\math" not in string:
        text.set_parse_math(False)
    if string.isascii():
        return
    families = list(text.get_fontfamily())
    if missing := find_missing(string, families):
        text.set_fontfamily([*families, *find_fonts(missing)])


@contextmanager
def _without_warnings_of_glyphs() -> Iterator[None]:
    """Silence a warning for each missing glyph and each script that is not shaped: `fonts` says it once."""
    with warnings.catch_warnings():
        for message in ("Glyph .* missing from", "Matplotlib currently does not support"):
            warnings.filterwarnings("ignore", message=message)
        yield


def publish(trainer: pl.Trainer, figure: Plot, name: str, *, step: int) -> None:
    """Write a figure to `<run folder>/<name>/<step>.png` and to the loggers; drawn once, on the first rank.

    Loggers that take pictures are TensorBoard's, MLflow's, and those with a method `log_image`, such as that of W&B. A
    logger that fails is warned of once.

    Args:
        trainer: the run's.
        figure: what to draw.
        name: name of the folder, and in the loggers.
        step: number of the epoch.
    """
    if not trainer.is_global_zero:
        return
    pixels = figure.pixels()
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return
    path = make_run_folder(trainer, name) / f"epoch_{step:03d}.png"
    write_png(pixels, path)
    for logger in trainer.loggers:
        try:
            _log_picture(logger, pixels, name, step=step, global_step=trainer.global_step)
        except Exception as error:  # of the logger's own, such as of its server
            warn_once(trainer, type(logger).__name__, f"did not take the picture {name}: {describe_error(error)}")


def _log_picture(logger: Any, pixels: NDArray[np.uint8], name: str, *, step: int, global_step: int) -> None:
    if isinstance(logger, pl.loggers.TensorBoardLogger):
        logger.experiment.add_image(name, pixels, step, dataformats="HWC")
    elif isinstance(logger, pl.loggers.MLFlowLogger):
        logger.experiment.log_image(logger.run_id, pixels, f"{name}/epoch_{step:03d}.png")
    elif callable(getattr(logger, "log_image", None)):  # their steps are those of the metrics, the trainer's
        logger.log_image(key=name, images=[pixels], step=global_step)


def write_png(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write a picture (H, W, 3), under its final name only when it is whole."""
    with whole_file(path) as partial:
        Image.fromarray(pixels).save(partial, format="png")


def image_grid(images: Tensor, titles: list[str], *, captions: list[str] | None = None, columns: int = 8) -> Plot:
    """Draw images in rows, each with a title; long lines are wrapped, and cut in the middle.

    Args:
        images: colours in [0, 1], (N, H, W, 3).
        titles: one for each, of one or more lines.
        captions: a line below each, such as its file; None for none.
        columns: number of images in a row; fewer where the titles are long.
    """
    longest = max((measure_width(line) for title in titles for line in title.split("\n")), default=0)
    width = TITLE_COLUMNS
    if longest > 2 * TITLE_COLUMNS:
        width, columns = WIDE_TITLE_COLUMNS, max(columns * TITLE_COLUMNS // WIDE_TITLE_COLUMNS // 2 * 2, 1)
    columns = max(min(columns, len(images)), 1)
    wrapped = ["\n".join(wrap(line, width) for line in title.split("\n")) for title in titles]
    below = [wrap(caption, width) for caption in captions or []]
    above, under = (LINE_INCHES * _count_lines(texts) for texts in (wrapped, below))
    rows = -(-len(images) // columns)
    side = width * COLUMN_INCHES
    cell = side + 2 * GAP_INCHES, above + side + under + 4 * GAP_INCHES
    # Places by sizes that are known: a layout would measure each text several times, for longer than all the rest.
    figure = Plot(figsize=(cell[0] * columns, cell[1] * max(rows, 1)))
    for index, (image, title) in enumerate(zip(images.numpy(), wrapped, strict=True)):
        row, column = divmod(index, columns)
        bottom = (rows - 1 - row) * cell[1] + under + 2 * GAP_INCHES
        width_all, height_all = cell[0] * columns, cell[1] * rows
        left = column * cell[0] + GAP_INCHES
        axes = figure.add_axes((left / width_all, bottom / height_all, side / width_all, side / height_all))
        axes.imshow(image, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(title, fontsize=TITLE_FONT, pad=3)
        if below:
            place: dict[str, Any] = {"ha": "center", "va": "top", "transform": axes.transAxes}
            axes.text(0.5, -0.03, below[index], fontsize=TITLE_FONT - 1, color="dimgrey", **place)
    return figure


def _count_lines(texts: list[str]) -> int:
    return max((text.count("\n") + 1 for text in texts if text), default=0)


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
