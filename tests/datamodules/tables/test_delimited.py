"""Delimited text: dialects, headers, lines, bad rows and hostile files."""

import gzip
import re
import time
import tracemalloc
from pathlib import Path

import pytest

from lightfit.datamodules.tables import delimited
from lightfit.datamodules.tables.columns import choose_text
from lightfit.datamodules.tables.content import Content, open_bytes
from lightfit.datamodules.tables.options import TableOptions
from lightfit.datamodules.tables.reader import open_table
from lightfit.datamodules.tables.table import Row
from lightfit.errors import DataError


def read(content: str, name: str = "a.csv", options: TableOptions | None = None) -> tuple[str, list[list[str]]]:
    """Return what was found about a table, and its rows."""
    table = open_table(open_bytes(name, content.encode()), options or TableOptions())
    return table.found, [row.cells for row in table.rows(range(len(table.columns))) if isinstance(row, Row)]


def problems(content: str, name: str = "a.csv") -> list[str]:
    """Return the errors of the rows of a table."""
    table = open_table(open_bytes(name, content.encode()))
    return [str(row) for row in table.rows([0]) if isinstance(row, DataError)]


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.csv", 'text,label\n"good, fine",x\nbad,y\n', "CSV, UTF-8, delimiter ',', header"),
        ("a.csv", "text;label\ngood, fine;x\nbad;y\n", "CSV, UTF-8, delimiter ';', header"),
        ("a.csv", "sep=;\ntext;label\ngood, fine;x\nbad;y\n", "CSV, UTF-8, delimiter ';', header"),
        ("a.csv", "text|label\ngood, fine|x\nbad|y\n", "CSV, UTF-8, delimiter '|', header"),
        ("a.csv", "text\tlabel\ngood, fine\tx\nbad\ty\n", "CSV, UTF-8, delimiter tab, header"),
        ("a.tsv", "text\tlabel\ngood, fine\tx\nbad\ty\n", "TSV, UTF-8, delimiter tab, header"),
        ("a.csv", 'text,label\r\n"good, fine",x\r\nbad,y\r\n', "CSV, UTF-8, delimiter ',', header"),
        ("a.csv", "text,label\r'good, fine',x\rbad,y\r", "CSV, UTF-8, delimiter ',', quote ', header"),
        ("a.csv", "'good, fine',x\n\nbad,y\n'also, bad',x", "CSV, UTF-8, delimiter ',', quote ', no header"),
    ],
)
def test_dialects(name: str, content: str, found: str) -> None:
    rows = [["good, fine", "x"], ["bad", "y"], ["also, bad", "x"]]
    assert read(content, name) == (found, rows[: 2 + ("also" in content)])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('text\tlabel\n"poor music\tx\nfine\ty\n', '"poor music'),  # as GLUE's
        ('text\tlabel\n"poor" music\tx\nfine\ty\n', '"poor" music'),
        ('text\tlabel\n"poor ""music"""\tx\nfine\ty\n', 'poor "music"'),
        ('text\tlabel\n"poor \\"music\\" "\tx\nfine\ty\n', 'poor "music" '),
        ("text\tlabel\nit's 'poor\tx\nfine\ty\n", "it's 'poor"),
        ('text\tlabel\nthe 5" disk\tx\nfine\ty\n', 'the 5" disk'),
    ],
)
def test_quotes(content: str, text: str) -> None:
    assert read(content, "a.tsv")[1] == [[text, "x"], ["fine", "y"]]
    assert read(content.replace("\t", ","), "a.csv")[1] == [[text, "x"], ["fine", "y"]]


@pytest.mark.parametrize("last", ['"never closed\ty', '"a" b\ty', '"closed"\ty', '"two\nlines"\ty'])
def test_quotes_after_the_sample_decide(last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "SAMPLE_CHARS", 100)
    found, rows = read("text\tlabel\n" + "a nice line\tx\n" * 50 + f"{last}\nfine\tx\n", "a.tsv")
    text = last.removesuffix("\ty")
    assert rows[50:] == [[text.strip('"') if text in ('"closed"', '"two\nlines"') else text, "y"], ["fine", "x"]]
    assert len(rows) == 52
    assert found == "TSV, UTF-8, delimiter tab, header"


def test_what_is_given_is_not_looked_for() -> None:
    content = "text;label\n'a,b';x\n"
    assert read(content, options=TableOptions(delimiter=","))[1] == []  # one row, which has more fields
    assert read(content, options=TableOptions(delimiter=";", quote="'"))[1] == [["a,b", "x"]]
    assert read('a;b\n"c";d\n', options=TableOptions(quote="none", header=False))[1] == [["a", "b"], ['"c"', "d"]]
    assert read("a\tb\n", options=TableOptions(delimiter="tab", header=False))[1] == [["a", "b"]]
    for options, problem in (
        ({"delimiter": "::"}, "expected `delimiter` as one character"),
        ({"quote": "''"}, "expected `quote` as one character or 'none'"),
        ({"delimiter": '"', "quote": '"'}, "`delimiter` and `quote` are both"),
        ({"on_error": "stop"}, "expected `on_error` raise or skip, received 'stop'"),
    ):
        with pytest.raises(ValueError, match=problem):
            TableOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("a.csv", "Review,Score\ngood,1\nbad,2\n", ["Review", "Score"]),  # one usual name
        ("a.csv", "phrase,mood\ngood,x\nbad,x\n", ["phrase", "mood"]),  # nothing speaks against it
        ("a.csv", "good film,x\nbad film,y\nfine film,x\n", ["0", "1"]),  # x occurs again
        ("a.csv", "good film,1\nbad film,2\n", ["0", "1"]),  # a number is no name
        ("a", "spam\tgood film\nham\tbad film\n", ["0", "1"]),  # names are single words where a header is not usual
        ("a.csv", " Text , LABEL\ngood,1\n", ["Text", "LABEL"]),
    ],
)
def test_headers(name: str, content: str, columns: list[str]) -> None:
    assert open_table(open_bytes(name, content.encode())).columns == columns


def test_a_header_by_what_is_asked_for() -> None:
    content = open_bytes("a.tsv", b"pos\tfilm\nneg\tbad\n")
    assert open_table(content, by_position=True).columns == ["0", "1"]
    assert open_table(content, asked=["film"]).columns == ["pos", "film"]
    with_names = open_bytes("a.tsv", b"label\ttext\nneg\tbad\n")
    assert open_table(with_names, by_position=True).columns == ["label", "text"]


def test_places_are_the_lines_of_the_file() -> None:
    table = open_table(open_bytes("a.csv", b'text,label\n"two\nlines",x\n\nfour,y\n"a\r\n\r\nb",z\r\nlast,x'))
    assert [row[0] for row in table.rows([0])] == [f"a.csv, line {line}" for line in (2, 5, 6, 9)]


def test_ids_stay_text() -> None:
    assert read("id,text\n01,NA\n1e5,null\n")[1] == [["01", "NA"], ["1e5", "null"]]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("text,label\na,x\nb\n", ["line 3: expected 2 fields as in the first row, received 1"]),
        ("text,label\na,x\nb,c,d\nb,c,d\nd,e\n", ["line 3: expected 2", "line 4: expected 2 fields"]),
        ('text,label\n"a, b",x\n"c, d",x\n"e" f,x\n', ["line 4: .*must be doubled; or set `quote` to none"]),
        ('text,label\n"a, b",x\n"c, d",x\n"e, f,x\n"g, h",y\n', ["line 4: "]),
        ("text,label\na\0b,x\nc,y\n", ["line 2: the cell 'a b' holds a NUL byte"]),
    ],
)
def test_bad_rows_stop_no_other(content: str, expected: list[str]) -> None:
    found = problems(content)
    assert len(found) == len(expected)
    for problem, message in zip(expected, found, strict=True):
        assert re.search(problem, message)


def test_a_quote_that_is_never_closed_costs_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "SAMPLE_CHARS", 1000)
    content = "text,label\n" + '"a, b",x\n' * 200 + '"c, d,x\n' + "e,y\n" * 3
    table = open_table(open_bytes("a.csv", content.encode()))
    rows = list(table.rows([0]))
    (problem,) = (str(row) for row in rows if isinstance(row, DataError))
    assert problem.startswith("a.csv, line 202: a quote is never closed")
    assert len(rows) == 204


def test_too_many_columns_are_refused_at_once() -> None:
    content = open_bytes("a.csv", b"a," * 10**6)
    start = time.monotonic()
    with pytest.raises(DataError, match=r"'a.csv' has 1,000,001 columns; expected at most 65,536"):
        open_table(content)
    assert time.monotonic() - start < 1


def test_a_long_field_is_refused_with_its_line_and_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "MAX_LINE_CHARS", 2**16)
    size = 2**25  # as against 64 KB, as a GB is against the limit
    Path("a.csv").write_bytes(b"text,label\na,x\n" + b"b" * size + b",y\nc,z\n")
    tracemalloc.start()
    try:
        table = open_table(Path("a.csv"))
        rows = list(table.rows([0]))
        assert tracemalloc.get_traced_memory()[1] < size / 4
    finally:
        tracemalloc.stop()
    assert rows[::2] == [("a.csv, line 2", ["a"]), ("a.csv, line 4", ["c"])]
    assert str(rows[1]).startswith("a.csv, line 3: a line of more than 65,536 characters")


def test_a_damaged_archive_is_said() -> None:
    raw = gzip.compress("".join(f"{number},x\n" for number in range(9999)).encode())
    with pytest.raises(DataError, match=r"'a.csv.gz' is damaged or cut off \(Compressed file ended"):
        open_table(open_bytes("a.csv.gz", raw[:-20]))


def test_no_message_holds_much_of_the_data() -> None:
    content = "x" * 5000 + "\0," + "y" * 5000 + "\n" + "z,\0" + "z" * 5000 + "\n1,2,3\n"
    for message in problems(content):
        assert len(message) < 300
    wide = Content("a.csv", open_bytes("a.csv", ",".join(["n" * 500] * 500).encode()).open)
    table = open_table(wide, TableOptions(header=True))
    with pytest.raises(LookupError) as found:
        choose_text(table, None)
    assert len(str(found.value)) < 400
