"""Findings as a self-contained HTML page with plots, and as plain data."""

import base64
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from lightfit.callbacks.pictures.plots import Plot
from lightfit.datamodules.findings import Findings

from ..cli.arguments import name_flags

TEMPLATES = [Path(__file__).resolve().parent, Path(__file__).resolve().parents[1] / "evaluation"]
BARS_SHOWN = 40  # categories in a plot: more cannot be read
CHARS_SHOWN = 32  # of a name on an axis


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
        "tables": {title: table.to_dict("records") for title, table in findings.tables.items()},
    }


def render_findings(findings: Findings, *, source: str, description: str) -> str:
    """Render findings as an HTML page with embedded pictures; arguments as of `as_plain`."""
    plain = as_plain(findings, source=source, description=description)
    template = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    ).get_template("check.html")
    tables = {
        title: {
            "columns": list(table),
            "rows": [[_format(cell) for cell in row] for row in table.itertuples(index=False)],
        }
        for title, table in findings.tables.items()
    }
    plots = {
        title: base64.b64encode(plot_counts(table)._repr_png_()).decode()
        for title, table in findings.tables.items()
        if len(table)
    }
    return template.render(**plain | {"tables": tables}, plots=plots)


def plot_counts(table: pd.DataFrame) -> Plot:
    """Plot counts by category: a group of bars for each row, a colour for each column of counts.

    Args:
        table: the first column holds names or numbers, the others counts.
    """
    shown, columns = table.head(BARS_SHOWN), list(table.columns[1:])
    names = [_shorten(str(name)) for name in shown.iloc[:, 0]]
    places = np.arange(len(shown))
    figure = Plot(figsize=(8, max(1.6, 0.26 * len(shown) * max(1, len(columns) / 2) + 0.9)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(columns)
    for index, column in enumerate(columns):
        axes.barh(places + index * height, shown[column].to_numpy(float), height, label=str(column))
    axes.set_yticks(places + 0.4 - height / 2, names, fontsize=8)
    axes.invert_yaxis()
    axes.set_ylabel(str(table.columns[0]))
    if len(columns) > 1:
        axes.legend(fontsize=8)
    else:
        axes.set_xlabel(str(columns[0]))
    if len(table) > BARS_SHOWN:
        axes.set_title(f"the first {BARS_SHOWN} of {len(table):,}", fontsize=9)
    return figure


def _shorten(name: str) -> str:
    return name if len(name) <= CHARS_SHOWN else f"{name[: CHARS_SHOWN - 1]}…"


def _format(cell: Any) -> str:
    if isinstance(cell, (int, np.integer)):
        return f"{cell:,}"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
