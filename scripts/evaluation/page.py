"""An evaluation as a self-contained HTML page, and as plain data."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from lightfit.callbacks.pictures.confusion import LABELS_UP_TO, find_confused_pairs
from lightfit.callbacks.pictures.names import shorten

from ..cli.score_format import format_score
from ..pages.render import MOST_ROWS, embed_picture, embed_plot, make_table, render_page
from .glossary import GLOSSARY
from .result import Evaluation
from .verdict import judge
from .worst import Shown

FOLDER = Path(__file__).resolve().parent
WRONG_ROWS = 20  # of the most wrong samples on the page; the table in the file beside it has more
WORST_ROWS = 10  # of pairs, classes, series and steps
FEW_CLASSES = 10  # all of which are in one glance at the table of classes
NAME_WIDTH = 40
MATRIX, CLASSES, BY_SERIES, BY_STEP = "confusion matrix", "classes", "by series", "by step"
# Tables and plots that the page has a place for, with what to say of them; all others stand under their own titles.
DETAILS = {
    CLASSES: "Precision, recall and F1 of each class",
    "labels": "Precision, recall and F1 of each label",
    "numbers": "Errors of each number",
    "most confused": "Classes that are confused most often",
    MATRIX: "Confusion matrix",
    "calibration": "Calibration: whether a probability of 0.8 is right in 8 of 10 cases",
    "precision and recall": "Precision and recall by threshold",
    "predicted and true": "Predicted and true numbers",
    "forecasts compared": "The net beside other forecasts",
    "by target": "Errors by target",
    BY_STEP: "Errors by step ahead, and bias over time",
    "by step and target": "Errors by step and target",
    BY_SERIES: "Errors by series",
    "forecasters": "The forecasters that the net combines",
}
Part = dict[str, Any]


def render_report(
    evaluation: Evaluation,
    *,
    title: str,
    subtitle: str,
    configuration: dict[str, Any],
    warnings: Sequence[str] = (),
    samples: Sequence[Shown] = (),
    command: str = "",
    facts: Mapping[str, str] = {},
) -> str:
    """Render an evaluation as an HTML page with embedded pictures.

    Args:
        evaluation: the evaluation.
        title: heading of the page.
        subtitle: line below the heading.
        configuration: configuration of the model and its data, as plain data.
        warnings: what may be wrong with the data.
        samples: what the first of the samples in `evaluation.wrong` look like.
        command: the command that made the page.
        facts: the data, checkpoint, versions and date, by name.
    """
    details = _list_details(evaluation)
    used = {*evaluation.metrics, *(str(column) for table in evaluation.tables.values() for column in table)}
    headline = evaluation.headline
    return render_page(
        FOLDER,
        "report.html",
        title=title,
        subtitle=subtitle,
        cards=_list_cards(evaluation),
        verdict=judge(evaluation),
        meaning=f"{headline}: {_explain(headline)}" if headline in GLOSSARY else "",
        warnings=warnings,
        wrong=_list_wrong(evaluation, samples),
        details=details,
        further=_list_further(evaluation),
        glossary={name: term.sentence for name, term in GLOSSARY.items() if name in used},
        configuration=yaml.safe_dump(configuration, sort_keys=False, allow_unicode=True),
        command=command,
        facts=facts,
    )


def _explain(name: str) -> str:
    return GLOSSARY[name].sentence if name in GLOSSARY else ""


TERMS = {name: _explain(name) for name in GLOSSARY}


def _list_cards(evaluation: Evaluation) -> list[dict[str, str]]:
    """Return the large numbers: the headline and its baselines, or all metrics where there is no headline."""
    if not evaluation.headline:
        return [
            {"name": name, "meaning": _explain(name), "value": format_score(value), "note": ""}
            for name, value in evaluation.metrics.items()
        ]
    low, high = evaluation.interval
    interval = f"95 % interval {format_score(low)} to {format_score(high)}"
    note = "too few samples for an interval" if np.isnan(low) else interval
    own = {
        "name": evaluation.headline,
        "meaning": _explain(evaluation.headline),
        "value": format_score(evaluation.metrics[evaluation.headline]),
        "note": f"{note}{'; ' if evaluation.units else ''}{evaluation.units}",
    }
    others = [
        {"name": baseline.name, "meaning": "", "value": format_score(baseline.score), "note": "to compare with"}
        for baseline in evaluation.baselines
    ]
    return [own, *others]


def _list_wrong(evaluation: Evaluation, samples: Sequence[Shown]) -> list[Part]:
    """Return what is wrong, the most telling first."""
    parts = [_show_wrong(evaluation, samples), *_list_confused(evaluation), *_list_lost(evaluation)]
    if "nearest training images" in evaluation.plots:
        title = "nearest training images"
        parts.append(_part(title.capitalize(), plot=evaluation.plots[title]))
    return [part for part in parts if part is not None]


def _part(title: str, *, table: Part | None = None, plot: Callable[[], Any] | None = None, note: str = "") -> Part:
    return {
        "title": title,
        "note": note,
        "table": table,
        "plot": embed_plot(plot()) if plot is not None else None,
        "pictures": [],
    }


def _show_wrong(evaluation: Evaluation, samples: Sequence[Shown]) -> Part | None:
    """Return the worst samples, with their texts or thumbnails."""
    wrong = evaluation.wrong
    if wrong is None:
        return None
    if not len(wrong):
        return _part("The worst samples", note=f"All {evaluation.num_samples:,} samples are right.")
    first = wrong.head(WRONG_ROWS)
    texts = [sample.text for sample in samples[:WRONG_ROWS]]
    if any(texts):
        first = first.assign(text=[*texts, *[""] * (len(first) - len(texts))])
        first = first[["text", *(name for name in first if name != "text")]]
    note = f"The first {len(first)} of {len(wrong):,}, the most wrong first" if len(wrong) > len(first) else ""
    part = _part("The worst samples", note=f"{note}; more are in most_wrong.csv." if note else "")
    part["table"] = make_table(first, "the worst samples", terms=TERMS, texts=("text",))
    for sample, (_, row) in zip(samples, first.iterrows(), strict=False):
        if sample.picture is not None:
            part["pictures"].append(_caption(row) | embed_picture(sample.picture))
    return part


def _caption(row: "pd.Series[Any]") -> dict[str, Any]:
    """Return what is said of a thumbnail: what it was predicted as, what it is, and its file; the table has more."""
    told = {str(name): value for name, value in row.items() if name not in ("file", "probability_of_true")}
    predicted, true = told.get("predicted"), told.get("true")
    if isinstance(predicted, str):
        sure = f" {100 * told['probability']:.0f} %" if "probability" in told else ""
        lines = [f"{shorten(predicted, NAME_WIDTH) or 'no label'}{sure}", f"true: {shorten(str(true), NAME_WIDTH)}"]
    else:
        lines = [f"{name}: {_format(value)}" for name, value in told.items()][:3]
    file = str(row["file"])
    return {"lines": lines, "file": file, "alt": "; ".join(filter(None, [*lines, file]))}


def _format(value: Any) -> str:
    return format_score(value) if isinstance(value, float) else str(value)


def _list_confused(evaluation: Evaluation) -> list[Part]:
    """Return the pairs of classes that are confused most often, and the classes that are found least."""
    parts: list[Part] = []
    if (matrix := evaluation.tables.get(MATRIX)) is not None:
        names = [str(name) for name in matrix.columns[-len(matrix) :]]
        counts = matrix.iloc[:, -len(matrix) :].to_numpy(np.int64)
        pairs = find_confused_pairs(counts, names, WORST_ROWS)
        if len(pairs):
            told = f"{len(pairs)} most confused pairs" if len(pairs) == WORST_ROWS else "Confused pairs"
            title = f"The {told}" if len(pairs) == WORST_ROWS else told
            parts.append(_part(title, table=make_table(pairs, title, terms=TERMS)))
    classes = evaluation.tables.get(CLASSES)
    if classes is not None and len(classes) > FEW_CLASSES:
        worst = classes[classes["support"] > 0].sort_values("recall", kind="stable").head(WORST_ROWS)
        title = f"The {WORST_ROWS} classes that are found least"
        parts.append(_part(title, table=make_table(worst, title, terms=TERMS)))
    return parts


def _list_lost(evaluation: Evaluation) -> list[Part]:
    """Return the series that lose against the naive forecast, the worst steps, and the worst windows."""
    parts: list[Part] = []
    series = evaluation.series
    if series is None:
        return parts
    if len(series) > 1:
        beaten = series[series["beaten_by_naive"]]
        if "naive_mase" in beaten:
            order = (-beaten["mase"] / beaten["naive_mase"]).argsort(kind="stable")
            beaten = beaten.iloc[order.to_numpy()]
        what = f"{len(beaten):,} of {len(series):,} lose against the naive forecast"
        title = "Series that lose against the naive forecast"
        if len(beaten):
            first = make_table(beaten.head(WORST_ROWS), title, terms=TERMS)
            more = f", the worst {WORST_ROWS} first; all are in series.csv" if len(beaten) > WORST_ROWS else ""
            parts.append(_part(title, note=f"{what}{more}.", table=first))
        else:
            parts.append(_part(title, note=f"None of {len(series):,}."))
    steps = evaluation.tables.get(BY_STEP)
    score = next((name for name in ("mae", "mase", "wape") if steps is not None and name in steps), None)
    if steps is not None and score and len(steps) > 1:
        worst = steps.sort_values(score, ascending=False, kind="stable").head(WORST_ROWS // 2)
        worst = worst[[name for name in worst if name not in ("target", "values")]]
        title = "The worst steps ahead"
        parts.append(_part(title, table=make_table(worst, title, terms=TERMS)))
    if evaluation.windows is not None and len(evaluation.windows):
        title = "The worst forecasts"
        plot = evaluation.plots.get("forecasts")
        parts.append(_part(title, plot=plot, table=make_table(evaluation.windows, title, terms=TERMS)))
    return parts


def _list_details(evaluation: Evaluation) -> list[Part]:
    """Return all scores, and the tables and plots that are known."""
    scores = tabulate_metrics(evaluation).dropna(axis=1, how="all")
    parts = [_part("All scores", table=make_table(scores, "all scores", terms=TERMS))]
    for name, title in DETAILS.items():
        table, plot = evaluation.tables.get(name), evaluation.plots.get(name)
        if table is None and plot is None:
            continue
        note = ""
        if name == MATRIX and table is not None and len(table) > LABELS_UP_TO:
            note = f"The matrix of {len(table):,} classes is too large for a page; all of it is in {file_of(name)}."
            table = None
        shown = None if table is None else make_table(table, title, terms=TERMS, file=file_of(name))
        parts.append(_part(title, table=shown, plot=plot, note=note))
    return parts


def _list_further(evaluation: Evaluation) -> list[Part]:
    """Return the tables and plots that the page has no place for, under their own titles."""
    known = {*DETAILS, "forecasts", "nearest training images"}
    names = dict.fromkeys(name for name in (*evaluation.tables, *evaluation.plots) if name not in known)
    parts = []
    for name in names:
        table = evaluation.tables.get(name)
        shown = None if table is None else make_table(table, name, terms=TERMS, file=file_of(name))
        parts.append(_part(name, table=shown, plot=evaluation.plots.get(name)))
    return parts


def file_of(name: str) -> str:
    """Return the name of the file with all of a table that is too long for the page."""
    return "series.csv" if name == BY_SERIES else f"all_{re.sub(r'[^0-9a-z]+', '_', name.lower()).strip('_')}.csv"


def list_long(evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    """Return the tables that are too long for the page, by the name of the file that they go into."""
    return {
        file_of(name): table
        for name, table in evaluation.tables.items()
        if name != BY_SERIES and (len(table) > MOST_ROWS or (name == MATRIX and len(table) > LABELS_UP_TO))
    }


def shorten_names(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with names of series and targets that do not fill the terminal."""
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

    Further digits would depend on the batching of the samples, and so on the number of devices. The confusion matrix of
    more classes than fit on a page is left out, as its names a million times over would be most of the file: it is in
    a table of its own.
    """
    large = len(evaluation.tables.get(MATRIX, ())) > LABELS_UP_TO
    tables = {name: table for name, table in evaluation.tables.items() if not (large and name == MATRIX)}
    baselines = pd.DataFrame([(own.name, own.score) for own in evaluation.baselines], columns=["name", "score"])
    return {
        "num_samples": evaluation.num_samples,
        "headline": evaluation.headline or None,
        "metrics": _to_records(tabulate_metrics(evaluation)),
        "baselines": _to_records(baselines),
        "tables": {name: _to_records(table) for name, table in tables.items()},
    }


def _to_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): _round(value) for name, value in row.items()} for row in rows]


def _round(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
