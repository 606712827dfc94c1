"""An evaluation as a self-contained HTML page, and as plain data."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import yaml

from lightfit.callbacks.pictures.confusion import LABELS_UP_TO
from lightfit.callbacks.pictures.names import shorten

from ..cli.score_format import format_score
from .result import Evaluation

PAGES = Path(__file__).resolve().parent
WRONG_ROWS = 20  # of the most wrong samples on the page; the table in the file beside it has more
NAME_WIDTH = 40
SERIES_ROWS = 30  # of the worst series on the page, likewise


def render_report(
    evaluation: Evaluation,
    *,
    title: str,
    subtitle: str,
    configuration: dict[str, Any],
    warnings: Sequence[str] = (),
) -> str:
    """Render an evaluation as an HTML page with embedded pictures.

    Args:
        evaluation: the evaluation.
        title: heading of the page.
        subtitle: line below the heading.
        configuration: configuration of the model and its data, as plain data.
        warnings: what may be wrong with the data.
    """
    tables = {"scores": tabulate_metrics(evaluation)} | evaluation.tables
    plots = dict(evaluation.plots)
    if len(tables.get("confusion matrix", ())) > LABELS_UP_TO:
        del tables["confusion matrix"]  # too many cells for a page; the picture has the most confused pairs
        plots["most confused"] = plots.pop("confusion matrix")
    if evaluation.wrong is not None and len(evaluation.wrong):
        tables["most wrong"] = evaluation.wrong.head(WRONG_ROWS)
    tables = {name: shorten_names(table) for name, table in tables.items()}
    if len(own := tables.get("by series", pd.DataFrame())) > SERIES_ROWS:
        del tables["by series"]
        worst = own.sort_values("mase" if "mase" in own else "mae", ascending=False, kind="stable").head(SERIES_ROWS)
        tables[f"by series: the worst {SERIES_ROWS} of {len(own):,}; all are in series.csv"] = worst
    template = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGES), autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    ).get_template("report.html")
    return template.render(
        title=title,
        subtitle=subtitle,
        headline=evaluation.format_headline() if evaluation.headline else "",
        tables={name: {"columns": list(table), "rows": _format_cells(table)} for name, table in tables.items()},
        plots={name: base64.b64encode(draw()._repr_png_()).decode() for name, draw in plots.items()},
        warnings=warnings,
        configuration=yaml.safe_dump(configuration, sort_keys=False, allow_unicode=True),
    )


def shorten_names(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with names of series and targets that do not fill the page."""
    named = [name for name in ("series", "target") if name in table]
    return table.assign(**{name: [shorten(str(value), NAME_WIDTH) for value in table[name]] for name in named})


def tabulate_metrics(evaluation: Evaluation) -> pd.DataFrame:
    """Return a table with a row for each metric: value, number of samples, and interval if there is one."""
    rows = []
    for name, value in evaluation.metrics.items():
        low, high = evaluation.interval if name == evaluation.headline else (np.nan, np.nan)
        rows.append((name, value, evaluation.num_samples, low, high))
    return pd.DataFrame(rows, columns=["metric", "value", "samples", "low", "high"])


def as_plain(evaluation: Evaluation) -> dict[str, Any]:
    """Return scores and tables as plain data, rounded to six digits, the precision of float32; None if undefined.

    Further digits would depend on the batching of the samples, and so on the number of devices.
    """
    return {
        "num_samples": evaluation.num_samples,
        "headline": evaluation.headline or None,
        "metrics": _to_records(tabulate_metrics(evaluation)),
        "tables": {name: _to_records(table) for name, table in evaluation.tables.items()},
    }


def _to_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): _round(value) for name, value in row.items()} for row in rows]


def _round(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _format_cells(table: pd.DataFrame) -> list[list[str]]:
    return [[_format_cell(value) for value in row] for row in table.itertuples(index=False)]


def _format_cell(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float):
        return format_score(value)
    return f"{value:,}" if isinstance(value, int | np.integer) else str(value)
