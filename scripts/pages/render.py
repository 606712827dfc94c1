"""Pages as one file each: templates with the shared style sheet and script inlined, tables, and embedded pictures."""

import base64
import io
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from lightfit.callbacks.pictures.names import measure_width

from ..cli.score_format import format_score

PAGES = Path(__file__).resolve().parent
MOST_ROWS = 5000  # of a table on a page; browsers sort and filter that many at once
LONG_TEXT = 48  # characters from which on a column is wide, and wraps
SHORT_TEXT = 22  # columns, of Latin letters, up to which it does not wrap: a time stamp fits
MOST_CHARACTERS = 600  # of a cell; the rest is cut
SMALL = 96  # pixels up to which a picture is enlarged without blurring it, and kept as PNG
THUMBNAIL = 320  # pixels of the longer side of an embedded picture


def render_page(folder: Path, template: str, **values: Any) -> str:
    """Render a template as one page that needs no other file.

    What UTF-8 cannot encode, such as bytes of a file's name that are none, is replaced.

    Args:
        folder: folder of the template; `macros.html`, `style.css` and `tables.js` are found beside this module.
        template: name of the template.
        values: what it refers to.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, PAGES]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template(template).render(**values)
    return page.encode("utf-8", "replace").decode()


def make_table(
    table: pd.DataFrame,
    title: str,
    *,
    terms: Mapping[str, str] = {},
    file: str = "",
    texts: Collection[str] = (),
    has_bars: bool = False,
) -> dict[str, Any]:
    """Return a table for the macro `table`: columns with their definitions, and rows of formatted cells.

    Args:
        table: the table.
        title: what it holds, for screen readers and its filter.
        terms: definitions by name of a column, or by name of a row in the first column.
        file: name of the file that has all rows, where the table has more than the page shows.
        texts: names of columns with texts of several lines, which get room.
        has_bars: whether each number has a bar, as long as it is a fraction of the largest of all.
    """
    shown = table.head(MOST_ROWS)
    formatted = [[_format_cell(value) for value in shown.iloc[:, index]] for index in range(shown.shape[1])]
    columns = []
    for index, name in enumerate(map(str, shown.columns)):
        values = shown.iloc[:, index]
        numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        is_long = index > 0 and max(map(len, formatted[index]), default=0) > LONG_TEXT
        is_short = max(map(measure_width, formatted[index]), default=0) <= SHORT_TEXT
        kind = "number" if numeric else "text" if name in texts or is_long else "short" if is_short else ""
        columns.append({"name": name, "kind": kind, "term": terms.get(name, "")})
    rest = f"The first {len(shown):,} of {len(table):,} rows" + (f"; all are in {file}." if file else ".")
    return {
        "title": title,
        "columns": columns,
        "rows": list(zip(*formatted, strict=True)),
        "terms": terms,
        "rest": rest if len(table) > len(shown) else "",
        "bars": _measure(shown) if has_bars else [],
    }


def _measure(table: pd.DataFrame) -> list[list[float]]:
    """Return the lengths of the bars of a table, in percent; 0 in its first column."""
    counts = table.iloc[:, 1:].to_numpy(np.float64)
    percent = 100 * counts / max(counts.max(initial=0.0), 1e-12)
    return [[0.0, *(round(length, 1) for length in own)] for own in percent.tolist()]


def _format_cell(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float):
        return format_score(value)
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    text = "" if value is None or value is pd.NaT else str(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


def embed_plot(plot: Any) -> str:
    """Return a plot as a URL that holds it."""
    return f"data:image/png;base64,{base64.b64encode(plot._repr_png_()).decode()}"


def embed_picture(picture: NDArray[np.uint8]) -> dict[str, Any]:
    """Return a picture (h, w, 3) as a URL that holds it, at most 320 pixels long, and whether it is small."""
    image, content = Image.fromarray(picture), io.BytesIO()
    is_small = max(image.size) <= SMALL
    if is_small:
        image.save(content, format="png")
    else:
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        image.save(content, format="jpeg", quality=85)
    encoded = base64.b64encode(content.getvalue()).decode()
    return {"url": f"data:image/{'png' if is_small else 'jpeg'};base64,{encoded}", "small": is_small}
