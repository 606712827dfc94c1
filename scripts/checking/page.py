"""Findings as a self-contained HTML page with bars, and as plain data."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lightfit.datamodules.findings import Findings

from ..cli.arguments import name_flags
from ..pages.render import embed_picture, embed_plot, make_table, render_page

if TYPE_CHECKING:
    from lightfit.callbacks.pictures.plots import Plot

FOLDER = Path(__file__).resolve().parent


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
    plain = as_plain(findings, source=source, description=description)
    tables = []
    for title, table in findings.tables.items():
        counts = all(pd.api.types.is_integer_dtype(table[name]) for name in table.columns[1:])
        tables.append(make_table(table, title, has_bars=counts))
    plots = {title: embed_plot(plot) for title, plot in _draw(findings).items()}
    examples = {name: [embed_picture(picture) for picture in own] for name, own in findings.find_examples().items()}
    return render_page(FOLDER, "check.html", **plain | {"tables": tables, "examples": examples, "plots": plots})


def _draw(findings: Findings) -> "Mapping[str, Plot]":
    """Draw what was found in series."""
    sketch = findings.find_plots()
    if sketch is None:
        return {}
    from .series_plots import plot_series

    return plot_series(sketch)
