"""Findings as a self-contained HTML page with bars, and as plain data."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from lightfit.callbacks.pictures.names import shorten
from lightfit.datamodules.findings import Findings

from ..cli.arguments import name_flags
from ..cli.score_format import format_score

if TYPE_CHECKING:
    from lightfit.callbacks.pictures.plots import Plot

MOST_ROWS = 300  # of a table
NAME_WIDTH = 60
TEMPLATES = [Path(__file__).resolve().parent, Path(__file__).resolve().parents[1] / "evaluation"]


def as_plain(findings: Findings, *, source: str, description: str) -> dict[str, Any]:
    """Return findings as plain data.

    Args:
        findings: what was found.
        source: the file or folder.
        description: the summary of the data.
    """
    return {
        "source": source,
        "description": description,
        "facts": {topic: name_flags(fact) for topic, fact in findings.facts.items()},
        "warnings": [name_flags(warning) for warning in findings.warnings],
        "tables": {
            title: table.astype(object).where(table.notna(), None).to_dict("records")
            for title, table in findings.tables.items()
        },
    }


def render_findings(findings: Findings, *, source: str, description: str) -> str:
    """Render findings as an HTML page, with a bar for each count; arguments as of `as_plain`.

    The bars are drawn by the browser, which has the fonts of all scripts.
    """
    template = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    ).get_template("check.html")
    plain = as_plain(findings, source=source, description=description)
    tables = {}
    for title, table in findings.tables.items():
        shown = title if len(table) <= MOST_ROWS else f"{title}: the first {MOST_ROWS} of {len(table):,} rows"
        tables[shown] = _with_bars(table.head(MOST_ROWS))
    plots = {title: _embed_png(plot) for title, plot in _draw(findings).items()}
    examples = {name: [_embed(picture) for picture in own] for name, own in findings.find_examples().items()}
    return template.render(**plain | {"tables": tables, "examples": examples, "plots": plots})


def _draw(findings: Findings) -> "Mapping[str, Plot]":
    """Draw what was found in series."""
    sketch = findings.find_plots()
    if sketch is None:
        return {}
    from .series_plots import plot_series

    return plot_series(sketch)


def _embed_png(plot: "Plot") -> str:
    """Return a plot as a URL that holds it."""
    return f"data:image/png;base64,{base64.b64encode(plot._repr_png_()).decode()}"


def _embed(picture: NDArray[np.uint8]) -> str:
    """Return a picture (h, w, 3) as a URL that holds it."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="jpeg", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def _with_bars(table: pd.DataFrame) -> dict[str, Any]:
    """Return the columns, and rows of (text, length of the bar in percent, or None for no bar).

    The first column has none, nor has any column of a table that is not of counts alone.
    """
    if not all(pd.api.types.is_integer_dtype(table[name]) for name in table.columns[1:]):
        rows = [[(_format_cell(value), None) for value in row] for row in table.itertuples(index=False)]
        return {"columns": list(table), "rows": rows, "kind": "plain"}
    counts = table.iloc[:, 1:].to_numpy(np.float64)
    percent = 100 * counts / max(counts.max(initial=0.0), 1e-12)
    rows = [
        [(f"{name:,}" if isinstance(name, int) else str(name), None)]
        + [(f"{count:,.0f}", round(length, 1)) for count, length in zip(own, lengths, strict=True)]
        for name, own, lengths in zip(table.iloc[:, 0].tolist(), counts.tolist(), percent.tolist(), strict=True)
    ]
    return {"columns": list(table), "rows": rows, "kind": "bars"}


def _format_cell(value: Any) -> str:
    if isinstance(value, float):
        return format_score(value)
    return f"{value:,}" if isinstance(value, int | np.integer) else shorten(str(value), NAME_WIDTH)
