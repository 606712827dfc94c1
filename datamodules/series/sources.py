"""Sources of series: published series by name, and files."""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import NamedTuple

from lightfit.download import check_sha256, download
from lightfit.errors import MissingPackageError, NotFoundError
from lightfit.extras import how_to_install

SEATTLE_TEMPS = "seattle-temps"
SEATTLE_TEMPS_SHA256 = "c220666521ff4bec4ffb6f0d9acfdc5c1056564b1aad6f78d3b06aa0a0c8b085"


class Published(NamedTuple):
    """A published series: address, file name, checksum and size."""

    url: str
    file: str
    sha256: str
    size_bytes: int


DOWNLOADS = {
    "covid-19": Published(
        "https://raw.githubusercontent.com/lyhue1991/eat_tensorflow2_in_30_days/master/data/covid-19.csv",
        "covid-19.csv",
        "b1ee30592132ab7b853871b2893517b96fccf3269c93a724c67a185419e1e05b",
        1_563,
    ),
    "etth1": Published(
        "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTh1.csv",
        "ETTh1.csv",
        "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
        2_589_657,
    ),
}


def locate(path: str, data_dir: Path) -> Path:
    """Return the file of a series, downloading it if it is a published one that is not there yet.

    Raises:
        LookupError: `path` is empty.
        FileNotFoundError: the file does not exist.
        MissingPackageError: the package vega-datasets is not installed.
        ConnectionError, DataError: as `download`.
    """
    if path == SEATTLE_TEMPS:
        return _find_seattle_temps()
    if path in DOWNLOADS:
        published = DOWNLOADS[path]
        return download(
            published.url, data_dir / published.file, sha256=published.sha256, size_bytes=published.size_bytes
        )
    if not path:
        raise NotFoundError(
            "which series? set `path` to a table (CSV, Parquet, Excel, ...) with a column of time stamps"
        )
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"no file at '{path}' (looked from '{Path.cwd()}'); set `path` to a table (CSV, Parquet, Excel, ...), "
            f"or to one of the names {', '.join([SEATTLE_TEMPS, *DOWNLOADS])}"
        )
    return Path(path)


def _find_seattle_temps() -> Path:
    """Find the file by the metadata of its package, without importing it."""
    try:
        found = [file for file in files("vega-datasets") or [] if file.name == "seattle-temps.csv"]
    except PackageNotFoundError:
        found = []
    if not found:
        raise MissingPackageError(f"the package vega-datasets is not installed: {how_to_install('data')}")
    path = Path(str(found[0].locate()))
    check_sha256(path, SEATTLE_TEMPS_SHA256)
    return path
