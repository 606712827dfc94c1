"""Tables of series in files: as other programs write them."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import make_series
from workbooks import write_ods, write_xlsx

from lightfit.datamodules.series.frame import Frame, frame_of_rows, frame_of_text, read_frame
from lightfit.datamodules.series.numbers import read_numbers
from lightfit.datamodules.tables.content import open_bytes
from lightfit.datamodules.tables.options import TableOptions
from lightfit.errors import DataError, UsageError

DAYS = [f"2024-01-{day:02d}" for day in range(1, 13)]
NUMBERS = [1000.5 + 7 * day for day in range(12)]


def read(text: str, name: str = "a.csv", encoding: str = "utf-8", options: TableOptions | None = None) -> Frame:
    return read_frame(open_bytes(name, text.encode(encoding)), options or TableOptions())


def german(number: float) -> str:
    return f"{number:,.1f}".replace(",", "_").replace(".", ",").replace("_", ".")


def join(*lines: str, end: str = "\n") -> str:
    return "".join(line + end for line in lines)


def rows(pattern: str) -> str:
    """Return twelve lines, with the day as {day}, the number as {x} and as {g} in German, and the index as {i}."""
    return "".join(
        pattern.format(day=day, x=x, g=german(x), i=index) + "\n"
        for index, (day, x) in enumerate(zip(DAYS, NUMBERS, strict=True))
    )


TABLES = {
    "plain": ("date,x\n" + rows("{day},{x}"), "a.csv", "utf-8", ""),
    "German Excel": ("sep=;\r\nDatum;x\r\n" + rows("{day};{g}"), "a.csv", "cp1252", ""),
    "Google Sheets": ("date,x\n" + rows('{day},"{x:,.2f}"'), "a.csv", "utf-8", ""),
    "R, write.csv": ('"","date","x"\n' + rows('"{i}","{day}",{x}'), "a.csv", "utf-8", ""),
    "R, write.table": (
        '"date","x"\n'
        + "".join(f'"{i + 1}","{day}",{x}\n' for i, (day, x) in enumerate(zip(DAYS, NUMBERS, strict=True))),
        "a.csv",
        "utf-8",
        "",
    ),
    "R, blanks": ('"date" "x"\n' + rows('"{day}" {x}'), "a.txt", "utf-8", ""),
    "pandas with an index": (",date,x\n" + rows("{i},{day},{x}"), "a.csv", "utf-8", ""),
    "SAP": (
        "Bericht Absatz 2024\n\n|----------|-------|\n|Datum     |x      |\n|----------|-------|\n"
        + rows("|{day}| {g} |")
        + "|----------|-------|\n|Summe     |12.000,0|\n",
        "a.txt",
        "utf-8",
        "at the end left out: Summe",
    ),
    "SQL Server": (
        "date;x;u\n----------;---;----\n" + rows("{day};{x};NULL") + "\n(12 rows affected)\n",
        "a.csv",
        "utf-8",
        r"left out: \(12 rows affected\)",
    ),
    "psql": (
        " date       |   x\n------------+------\n" + rows(" {day} | {x:7.1f}") + "(12 rows)\n\n",
        "a.txt",
        "utf-8",
        r"left out: \(12 rows\)",
    ),
    "Power BI": (
        "date,x\n" + rows("{day},{x}") + '\n"Applied filters:\nYear is 2024\nProduct is A"\n',
        "a.csv",
        "utf-8-sig",
        "1 row at the end left out: Applied filters",
    ),
    "a meter": (
        "Zeit;x\n;kWh\n" + rows("{day} 00:00;{g}"),
        "a.csv",
        "utf-8-sig",
        "1 row below the header passed over: kWh",
    ),
    "a station": (
        "Station;Berlin\nLat;52,5\nDatum;x\n" + rows("{day};{g}"),
        "a.csv",
        "utf-8",
        "2 rows above the header passed over: Station, Berlin",
    ),
    "a title with commas": (
        "Report: Sales, 2024\nCreated by X\n\ndate;x\n"
        + rows("{day};{g}")
        + "Total;12.345,0\nSource: SAP; all shops\n",
        "a.csv",
        "utf-8",
        "2 rows above the header .* Report: Sales, 2024",
    ),
    "comments": (
        "# a comment, with a comma\n% another\n// more\ndate,x\n" + rows("{day},{x}"),
        "a.csv",
        "utf-8",
        "3 comment",
    ),
    "names in a comment": ("# made by X\n# date,x\n" + rows("{day},{x}"), "a.csv", "utf-8", "1 comment line above"),
    "Yahoo": (
        "Price,x,y\nTicker,AB,AB\nDate,,\n" + rows("{day},{x},1"),
        "a.csv",
        "utf-8",
        "2 rows below the header passed over: Ticker",
    ),
    "UTF-16": ("date\tx\n" + rows("{day}\t{x}"), "a.csv", "utf-16", ""),
    "single quotes": ("'date','x'\n" + rows("'{day}','{x}'"), "a.csv", "utf-8", ""),
    "two files in one": ("date,x\n" + rows("{day},{x}") + "date,x\n", "a.csv", "utf-8", "1 row"),
    "delimiters at the end": ("date;x;\n" + rows("{day};{x};"), "a.csv", "utf-8", ""),
    "delimiters at the end of rows": ("date;x\n" + rows("{day};{x};"), "a.csv", "utf-8", ""),
    "blanks": ("date , x\n" + rows(" {day} , {x} "), "a.csv", "utf-8", ""),
    "empty rows": ("date,x\n" + rows("{day},{x}\n") + ",\n,\n\n", "a.csv", "utf-8", ""),
    "Mac": ("date,x\r" + rows("{day},{x}").replace("\n", "\r"), "a.csv", "utf-8", ""),
    "exponents": ("date,x\n" + rows("{day},{x:e}"), "a.csv", "utf-8", ""),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_as_other_programs_write_them(name: str) -> None:
    text, file, encoding, found = TABLES[name]
    frame = read(text, file, encoding)
    (x,) = [column for column in frame.table if column == "x"]
    np.testing.assert_allclose(read_numbers(frame.table[x], file, x), NUMBERS)
    days = [column for column in frame.table if frame.table[column].astype(str).str.startswith("2024-01-01").any()]
    assert [cell[:10] for cell in frame.table[days[0]]] == DAYS
    assert pd.Series(["\n".join(frame.found)]).str.contains(found, regex=True).all(), frame.found
    if not found:
        assert len(frame.found) == 1


def test_ids_keep_their_text() -> None:
    frame = read("a,b,c,d,e,f,date\n01,NA,007,1e5,+1,123456789012345678901,x\n2,DE,8,2e7,2,5,y\n")
    assert frame.table.iloc[0].tolist() == ["01", "NA", "007", "1e5", "+1", "123456789012345678901", "x"]
    assert all(frame.table[name].dtype == object for name in "abcdef")


def test_the_last_cell_of_a_file_decides(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,x\n" + "".join(f"{i},{i}\n" for i in range(100_000)) + "007,5\n")
    frame = read_frame(path)
    assert frame.table["id"].iloc[-1] == "007"
    assert frame.table["id"].iloc[5] == "5"
    assert frame.table["x"].dtype == np.int64


def test_types_of_columns() -> None:
    frame = read("a,b,c,d,e,f\n1,1.5,TRUE,true,,x\n2,,FALSE,,,\n-3,-2e-05,TRUE,false,,\n")
    assert frame.table.dtypes.astype(str).tolist() == ["int64", "float64", "bool", "object", "float64", "object"]
    assert frame.table["d"].tolist() == [True, None, False]
    assert frame.table["f"].tolist() == ["x", None, None]


def test_thousands_with_points_are_no_decimals() -> None:
    counts = [f"{800 + 100 * index:,}".replace(",", ".") for index in range(12)]
    frame = read("date;x;y\n" + "".join(f"{day};{count};1,5\n" for day, count in zip(DAYS, counts, strict=True)))
    assert read_numbers(frame.table["x"], "a.csv", "x").tolist() == [800 + 100 * index for index in range(12)]
    assert read("date,x\n" + "".join(f"{day},{count}\n" for day, count in zip(DAYS, counts, strict=True))).table[
        "x"
    ].tolist()[1:3] == [900, 1]  # with commas between fields, points stand before decimals
    whole = read("date;x;y\n" + "".join(f"{day};{index + 1}.500;1,{index}\n" for index, day in enumerate(DAYS)))
    assert whole.table["x"].tolist()[:2] == [1500, 2500]
    assert whole.found[-1] == "points separate thousands in x, as other columns have decimal commas"
    open_to_doubt = read("date;x\n" + "".join(f"{day};{index + 1}.500\n" for index, day in enumerate(DAYS)))
    assert open_to_doubt.table["x"].tolist()[:2] == [1.5, 2.5]
    assert "if these are thousands, write them without points" in open_to_doubt.found[-1]


def test_numbers_are_those_of_pandas(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    generator = np.random.default_rng(0)
    pd.DataFrame({"a": generator.normal(size=500), "b": generator.normal(size=500).astype(np.float32)}).to_csv(path)
    expected = pd.read_csv(path)
    for name in expected:
        np.testing.assert_array_equal(read_frame(path).table[name], expected[name])


@pytest.mark.parametrize(
    ("text", "names", "found"),
    [
        ("2024-01-01,1\n2024-01-02,2\n2024-01-03,4\n", ["0", "1"], "no header: the columns are named 0 to 1"),
        ("id,2019,2020,2021\nA,1,2,3\nB,4,5,7\n", ["id", "2019", "2020", "2021"], ""),
        ("id,2024-01,2024-02\nA,1,2\nB,4,5\n", ["id", "2024-01", "2024-02"], ""),
        ("date,x,x\n2024-01-01,1,2\n2024-01-02,3,5\n", ["date", "x", "x.1"], r"names that occur several times \(x\)"),
        (",,date\n1,2,2024-01-01\n4,5,2024-01-02\n", ["Unnamed: 0", "Unnamed: 1", "date"], ""),
        ("date,,x\n2024-01-01,,2\n2024-01-02,,5\n", ["date", "x"], ""),
        (
            '"Data Source","World Development Indicators",\n\n"Last Updated Date","2024-05-30",\n\n'
            '"Country Name","Code","2018","2019","2020",\n"Aruba","ABW","1","2","4",\n"Chad","TCD","4","5","7",\n',
            ["Country Name", "Code", "2018", "2019", "2020"],
            "2 rows above the header passed over: Data Source",
        ),
    ],
)
def test_headers(text: str, names: list[str], found: str) -> None:
    frame = read(text)
    assert list(frame.table) == names
    assert len(frame.table) > 1
    assert pd.Series(["\n".join(frame.found)]).str.contains(found, regex=True).all()


def test_footers_and_series_named_total() -> None:
    footer = read("shop,date,x\n" + "".join(f"A,{day},3\n" for day in DAYS) + "Total,,36\n")
    assert len(footer.table) == 12
    assert footer.found[-1] == "1 row at the end left out: Total"
    series = read("shop,date,x\n" + "".join(f"{shop},{day},3\n" for shop in ("A", "Total") for day in DAYS))
    assert len(series.table) == 24
    future = read(
        "date,x,promo\n" + "".join(f"{day},5,1\n" for day in DAYS[:9]) + "".join(f"{day},,1\n" for day in DAYS[9:])
    )
    assert len(future.table) == 12


def test_a_workbook(tmp_path: Path) -> None:
    days = [datetime(2024, 1, day) for day in range(1, 9)]
    body = [[day, 100.5 + index, "01"] for index, day in enumerate(days)]
    sheet = [["Sales of 2024"], [], ["Day", "x", "Shop"], *body, ["Total", 900], ["Source: ERP"]]
    frame = read_frame(write_xlsx(tmp_path / "a.xlsx", {"Sales": sheet}))
    assert list(frame.table) == ["Day", "x", "Shop"]
    assert frame.table["Day"].tolist() == list(map(pd.Timestamp, days))
    assert frame.table["Shop"].unique().tolist() == ["01"]
    assert frame.table["x"].tolist() == [100.5 + index for index in range(8)]
    assert frame.found[1:] == ("1 row above the header passed over: Sales of 2024", "2 rows at the end left out: Total")


def test_a_sheet_of_a_workbook(tmp_path: Path) -> None:
    table = [["day", "x"], *[[day, 5] for day in DAYS]]
    book = write_ods(tmp_path / "a.ods", {"one": [["note"], ["empty"]], "two": table})
    assert len(read_frame(book, TableOptions(sheet="two")).table) == 12
    with pytest.raises(DataError, match="has 2 sheets with rows .* Set `sheet`"):
        read_frame(book)
    with pytest.raises(match="has no sheet 'three'") if False else pytest.raises(DataError, match="three"):
        read_frame(book, TableOptions(sheet="three"))


def test_dates_above_a_wide_sheet(tmp_path: Path) -> None:
    sheet = [["shop", *[datetime(2024, month, 1) for month in range(1, 6)]], ["A", 1, 2, 3, 5, 4], ["B", 2, 3, 4, 5, 7]]
    frame = read_frame(write_xlsx(tmp_path / "a.xlsx", {"a": sheet}))
    assert list(frame.table)[:3] == ["shop", "2024-01-01", "2024-02-01"]


@pytest.mark.parametrize(
    "name", ["a.csv", "a.csv.gz", "a.csv.zip", "a.tsv", "a.json", "a.jsonl", "a.parquet", "a.feather", "no-ending"]
)
def test_all_formats_give_the_same_table(name: str, tmp_path: Path) -> None:
    table = make_series(30).assign(site="Gr\u00fcnau", shop="01")
    path = tmp_path / name
    if name.endswith(".parquet"):
        table.to_parquet(path)
    elif name.endswith(".feather"):
        table.to_feather(path)
    elif ".json" in name:
        table.assign(date=table["date"].astype(str)).to_json(path, orient="records", lines=name.endswith("l"))
    else:
        table.to_csv(path, index=False, sep="\t" if name == "a.tsv" else ",")
    found = read_frame(path).table
    assert pd.to_datetime(found["date"]).equals(table["date"])
    assert found["shop"].tolist() == ["01"] * 30
    assert found["site"].tolist() == table["site"].tolist()
    np.testing.assert_allclose(found[["load", "wind"]], table[["load", "wind"]])


def test_types_of_parquet(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "id": pd.Categorical(["01", "02", "01"]),
            "day": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"]).date,
            "zoned": pd.date_range("2024-01-01", periods=3, tz="Europe/Berlin"),
            "flag": [True, None, False],
            "count": pd.array([1, None, 3], "Int64"),
            "digits": ["1", "2", "3"],
        },
        index=pd.Index([5, 6, 7], name="row"),
    )
    table.to_parquet(tmp_path / "a.parquet")
    found = read_frame(tmp_path / "a.parquet").table
    assert list(found) == ["row", *table]
    assert found["id"].tolist() == ["01", "02", "01"]
    assert str(found["day"].dtype).startswith("datetime64")
    assert isinstance(found["zoned"].dtype, pd.DatetimeTZDtype)
    assert found["flag"].tolist() == [True, None, False]
    assert found["digits"].tolist() == ["1", "2", "3"]
    make_series(30).set_index("date").to_parquet(tmp_path / "b.parquet")
    assert list(read_frame(tmp_path / "b.parquet").table) == ["date", "load", "wind"]


def test_rows_of_json_and_standard_input() -> None:
    frame = frame_of_rows(
        [{"date": "2024-01-01", "x": 1, "id": "01"}, {"date": "2024-01-02", "id": "02", "flag": True}]
    )
    assert frame.table["x"].tolist()[0] == 1
    assert np.isnan(frame.table["x"].tolist()[1])
    assert frame.table["id"].tolist() == ["01", "02"]
    assert frame.table["flag"].tolist() == [None, True]
    assert frame_of_rows([{"x": "5"}, {"x": "6.5"}]).table["x"].tolist() == [5, 6.5]
    text = "date;x\n2024-01-01;1,5\n2024-01-02;2,5\n"
    assert frame_of_text(text, "standard input").table["x"].tolist() == ["1,5", "2,5"]
    assert frame_of_text('[{"date": "2024-01-01", "x": 1}]', "standard input").table["x"].tolist() == [1]
    with pytest.raises(DataError, match="the rows: expected a list of objects"):
        frame_of_rows([])


def test_options_are_kept() -> None:
    given = TableOptions(delimiter="^", quote="'", header=False, encoding="cp1252")
    frame = read("'2024-01-01'^'Gr\u00fc^n'\n'2024-01-02'^'b'\n", encoding="cp1252", options=given)
    assert frame.table["1"].tolist() == ["Gr\u00fc^n", "b"]
    header = read("1,2\n3,4\n5,6\n", options=TableOptions(header=True))
    assert list(header.table) == ["1", "2"]
    skipped = read("date,x\n2024-01-01,1\n2024-01-02,2,3,4\n2024-01-03,3\n", options=TableOptions(on_error="skip"))
    assert skipped.table["x"].tolist() == [1, 3]
    assert "1 rows that cannot be read are left out" in skipped.found[-1]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.json", b"{}", "holds no rows"),
        ("a.csv", b"", "cannot be read as a table"),
        ("a.csv", b"\n\n", "cannot be read as a table"),
        ("a.csv", b"date,a\n", "holds no rows"),
        (
            "a.csv",
            b"date,a\n2024-01-01,1,2,3\n2024-01-02,1\n",
            "line 2: 4 fields, more fields than its header, which has 2",
        ),
        ("a.csv", b"date,a\n2024-01-01,1,5\n2024-01-02,1,6\n", "line 2: 3 fields, more fields than its header"),
        (
            "a.csv",
            b"date,a\n2024-01-01,1\n2024-01-0",
            "row 2: expected 2 fields as in the header, received 1: '2024-01-0'",
        ),
        ("a.csv", b'date,a\n"2024-01-01","x"\n"2024-01-02","y\n"2024-01-03","z"\n', "line 3: .*"),
        ("a.csv", "dãte,a\n2024-01-01,1\n".encode("latin1"), "not UTF-8"),
        ("a.csv", b"date,a\n2024-01-01,1\0\n", "holds NUL bytes"),
        ("a.parquet", b"PAR1", "cannot be read as a table: .*Parquet file size"),
        ("a.parquet", b"date,x\n", "is not the .parquet file that its name says"),
        ("a.csv", b"%PDF-1.4", "is a PDF"),
    ],
)
def test_files_that_are_not_tables(name: str, content: bytes, problem: str) -> None:
    with pytest.raises((DataError, UsageError), match=problem):
        read_frame(open_bytes(name, content))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError, match="no file at 'no.csv'"):
        read_frame(Path("no.csv"))


def test_whole_numbers_beside_a_footer_stay_whole() -> None:
    frame = read(
        "day,shop,x\n" + "".join(f"{day},{index % 2},3\n" for index, day in enumerate(DAYS * 3)) + "Total,,36\n"
    )
    assert frame.table["shop"].dtype == np.int64
    assert frame.table["x"].dtype == np.int64
    beside_gaps = read(
        "day,shop\n" + "".join(f"{day},{'' if index == 3 else index % 2}\n" for index, day in enumerate(DAYS))
    )
    assert beside_gaps.table["shop"].dtype == np.float64
    large = read("day,shop\n" + "".join(f"{day},{'' if index == 3 else 10**17}\n" for index, day in enumerate(DAYS)))
    assert large.table["shop"].tolist()[2:4] == [str(10**17), None]
