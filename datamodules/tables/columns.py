"""Which columns hold the texts and the labels: by name, by position, or found."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from lightfit.errors import DataError, NotFoundError, clip

from ..split_names import find_split
from .table import Table, describe_columns

SEPARATOR = "xxsep"  # the word between the two texts of a pair
TEXT_NAMES = (
    "text",
    "texts",
    "sentence",
    "review",
    "review_text",
    "content",
    "comment",
    "comment_text",
    "message",
    "tweet",
    "tweet_text",
    "headline",
    "question",
    "utterance",
    "query",
    "document",
    "body",
    "description",
    "title",
    "文本",
    "内容",
    "评论",
    "标题",
    "正文",
    "句子",
    "內容",
    "評論",
    "標題",
    "v2",  # of the SMS collection as a sheet
)
LABEL_NAMES = (
    "label",
    "labels",
    "class",
    "classes",
    "category",
    "target",
    "sentiment",
    "y",
    "intent",
    "topic",
    "stars",
    "rating",
    "标签",
    "类别",
    "標籤",
    "類別",
    "v1",
)
SPLIT_COLUMNS = ("split", "subset", "partition", "dataset", "set", "phase")
JOINED = (("title", "body"), ("title", "description"), ("标题", "正文"), ("标题", "内容"))
PAIRS = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("texta", "textb"),
    ("sentencea", "sentenceb"),
    ("query", "passage"),
    ("query", "document"),
    ("question", "sentence"),
    ("question", "passage"),
)
LONGER = 2  # times as long as the other are the texts of two columns


class Chosen(NamedTuple):
    """The columns that hold texts or labels.

    Args:
        positions: their positions.
        column: what to ask for to choose them again.
        pair: whether they are the two texts of a pair.
    """

    positions: list[int]
    column: str | int
    pair: bool = False


def normalise(name: str) -> str:
    """Return a name without a mark of the encoding, without blanks and in lower case."""
    return "".join(name.replace("\ufeff", "").casefold().split())


def find_column(table: Table, column: str | int, argument: str) -> int:
    """Return the position of a column.

    Args:
        table: the table.
        column: its name, where case and blanks do not matter if it is the only one, or its position.
        argument: name of the argument that names it, for the message.

    Raises:
        LookupError: there is no such column.
        DataError: the name occurs twice.
    """
    if isinstance(column, str):
        for found in (
            [index for index, name in enumerate(table.columns) if table.named and name == column],
            [index for index, name in enumerate(table.columns) if table.named and normalise(name) == normalise(column)],
        ):
            if len(found) > 1:
                raise DataError(
                    f"'{table.name}' has {len(found)} columns '{clip(column)}': set `{argument}` to the position of "
                    f"one ({' or '.join(map(str, found[:4]))}), or rename them"
                )
            if found:
                return found[0]
        if column.isdecimal():
            column = int(column)
    if isinstance(column, int) and 0 <= column < len(table.columns):
        return column
    raise NotFoundError(
        f"'{table.name}' has no column '{clip(column) if isinstance(column, str) else column}'; it has: "
        f"{describe_columns(table)}. Set `{argument}` to the name of a column, or to its position from 0"
    )


def find_columns(table: Table, column: str | int, argument: str) -> list[int]:
    """Return the positions of columns, `column` being one or several with commas between them; errors as above."""
    if isinstance(column, int) or column in table.columns or "," not in column:
        return [find_column(table, column, argument)]
    return [find_column(table, name.strip(), argument) for name in column.split(",") if name.strip()]


def choose_text(table: Table, column: str | int | None, *, alone: bool = False) -> Chosen:
    """Choose the columns of the texts.

    Args:
        table: the table.
        column: name or position, or several with commas between them; None: found.
        alone: whether texts are read without labels, so that the only column is theirs.

    Raises:
        LookupError: there is no such column, or none is found.
        DataError: a name occurs twice.
    """
    if column is not None:
        positions = find_columns(table, column, "text_column")
        return Chosen(positions, column, _is_pair(table, positions))
    names = [normalise(name) for name in table.columns] if table.named else []
    for pair in PAIRS:
        found = [_find_alike(names, item) for item in pair]
        if None not in found and "text" not in names:
            return _choose(table, [index for index in found if index is not None], pair=True)
    for joined in JOINED:
        if set(joined) <= set(names) and not set(names) & {"text", "sentence"}:
            return _choose(table, [names.index(item) for item in joined])
    for name in map(normalise, TEXT_NAMES):
        if name in names:
            return _choose(table, [names.index(name)])
    longer = [0] if alone and len(table.columns) == 1 else _find_longer(table)
    if longer:
        return _choose(table, longer)
    raise NotFoundError(
        f"'{table.name}': which column holds the texts? It has: {describe_columns(table)}. Set `text_column` to the "
        "name of a column, or to its position from 0"
    )


def choose_label(table: Table, column: str | int | None, text: Chosen) -> Chosen:
    """Choose the columns of the labels.

    Args:
        table: the table.
        column: name or position, or several with commas between them; None: found.
        text: the columns of the texts.

    Raises:
        LookupError: there is no such column, or none is found.
        DataError: a name occurs twice, or a column is one of the texts.
    """
    if column is not None:
        positions = find_columns(table, column, "label_column")
        if shared := set(positions) & set(text.positions):
            raise DataError(
                f"'{table.name}': the column '{clip(table.columns[min(shared)])}' is chosen for the texts and for the "
                "labels: correct `text_column` or `label_column`"
            )
        return Chosen(positions, column)
    names = [normalise(name) for name in table.columns] if table.named else []
    for name in LABEL_NAMES:
        if name in names and names.index(name) not in text.positions:
            return _choose(table, [names.index(name)])
    others = [index for index in range(len(table.columns)) if index not in text.positions]
    if len(others) == 1:
        return _choose(table, others)
    raise NotFoundError(
        f"'{table.name}': which column holds the labels? It has: {describe_columns(table)}. Set `label_column` to the "
        "name of a column, or to its position from 0"
    )


def find_split_column(table: Table) -> int | None:
    """Return the position of the column of the splits: one of the usual names, with only splits in it; None: none."""
    names = [normalise(name) for name in table.columns] if table.named else []
    for name in SPLIT_COLUMNS:
        if names.count(name) == 1:
            cells = [row[names.index(name)] for row in table.sample]
            if cells and all(isinstance(cell, str) and find_split(cell) for cell in cells):
                return names.index(name)
    return None


def join_cells(cells: Sequence[Any], *, pair: bool) -> Any:
    """Return the text of a row from its cells: a pair with `SEPARATOR` between them, others with a blank.

    Raises:
        ValueError: one text of a pair is missing.
    """
    if len(cells) == 1:
        return cells[0]
    given = [str(cell) for cell in cells if cell is not None and str(cell).strip()]
    if not pair:
        return " ".join(given)
    if 0 < len(given) < len(cells):
        raise ValueError("one text of the pair is empty")
    return f" {SEPARATOR} ".join(given)


def is_header(
    rows: list[list[Any]], *, by_position: bool = False, asked: Sequence[str] = (), usual_header: bool = True
) -> bool:
    """Return whether the first of some rows holds the names of the columns.

    Args:
        rows: the first rows.
        by_position: whether columns are asked for by position: then only usual names are names.
        asked: names of columns that are asked for.
        usual_header: whether files of this kind usually have one; else its cells are single words.
    """
    first = rows[0]
    if not all(isinstance(cell, str) or cell is None for cell in first):
        return False
    names = [normalise(cell or "") for cell in first]
    usual = {*map(normalise, TEXT_NAMES), *LABEL_NAMES, *(name for pair in PAIRS for name in pair)}
    known = [name in usual for name in names]
    if any(normalise(part) in names for name in asked for part in (name, *name.split(","))):
        return True
    if by_position:
        return any(known) and not _is_data(rows)
    if any(known):
        return all(len(name) <= 60 for name in names)
    if not usual_header and any(" " in str(cell).strip() for cell in first):
        return False
    return not _is_data(rows)


def _is_data(rows: list[list[Any]]) -> bool:
    """Return whether the first row is like the others: a number, a long text, or a cell that occurs again."""
    first, others = rows[0], rows[1:]
    for index, cell in enumerate(first):
        text = str(cell or "").strip()
        if not text or len(text) > 60 or _is_number(text):
            return True
        if any(index < len(row) and str(row[index]).strip() == text for row in others):
            return True
    return False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_pair(table: Table, positions: list[int]) -> bool:
    names = [normalise(table.columns[index]).replace("_", "").replace("-", "") for index in positions]
    if len(names) != 2:
        return False
    alike = len(names[0]) == len(names[1]) and len(names[0]) > 1 and names[0][:-1] == names[1][:-1]
    return table.named and (tuple(names) in PAIRS or (alike and names[0][-1] in "1aq" and names[0] != names[1]))


def _find_alike(names: list[str], name: str) -> int | None:
    plain = [item.replace("_", "").replace("-", "") for item in names]
    return plain.index(name) if plain.count(name) == 1 else None


def _choose(table: Table, positions: list[int], *, pair: bool = False) -> Chosen:
    if not table.named:
        return Chosen(positions, positions[0] if len(positions) == 1 else ",".join(map(str, positions)), pair)
    names = [table.columns[index] for index in positions]
    if twice := next((name for name in names if table.columns.count(name) > 1 or "," in name), None):
        if "," not in twice:
            find_column(table, twice, "text_column")  # raises
        return Chosen(positions, positions[0], pair)
    return Chosen(positions, ",".join(names), pair)


def _find_longer(table: Table) -> list[int]:
    """Return the one of two columns whose cells are clearly longer."""
    if len(table.columns) != 2:
        return []
    lengths = []
    for index in range(2):
        cells = [row[index] for row in table.sample if row[index] is not None]
        if not cells or not all(isinstance(cell, str) for cell in cells):
            lengths.append(0.0)
        else:
            lengths.append(sum(map(len, cells)) / len(cells))
    short, long = sorted(range(2), key=lengths.__getitem__)
    return [long] if lengths[long] >= LONGER * lengths[short] and lengths[long] > 0 else []
