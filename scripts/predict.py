"""Predict from a checkpoint alone: `python scripts/predict.py CKPT INPUT...`."""

import argparse
import csv
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run as a file: custom classes come from the working directory, LightFit's from this clone
    sys.path[:1] = [str(Path.cwd()), str(Path(__file__).resolve().parents[1])]

from lightfit.errors import DataError, UsageError
from lightfit.scripts.cli.arguments import register_flags
from lightfit.scripts.cli.command import program
from lightfit.scripts.cli.exit_codes import exit_code
from lightfit.scripts.cli.flags import add_trust, add_tta
from lightfit.scripts.cli.outputs import check_output, output_file
from lightfit.scripts.cli.postponed import postpone
from lightfit.scripts.cli.quiet import hush

LINES = (".txt", ".csv", ".tsv", ".jsonl", ".ndjson")  # suffixes of files with about one input on each line
NESTED = (".jsonl", ".ndjson", ".parquet")  # suffixes of files whose cells may be lists
READ_BYTES = 2**20
DEFAULT_PARTS = 5
FILLS, DUPLICATES = ("error", "forward", "interpolate", "mask"), ("error", "mean", "sum", "last")
SERIES_FLAGS = ("horizon", "fill", "on_duplicate")
TABLE_FLAGS = {"sheet": "sheet", "delimiter": "delimiter", "quote": "quote, or none,", "encoding": "encoding"}


def main(args: list[str] | None = None) -> int:
    """Run the command and return its exit code: 1 where an input could not be predicted."""
    parser = argparse.ArgumentParser(
        program("predict"), description="Predict from a checkpoint alone.", allow_abbrev=False
    )
    parser.add_argument("checkpoint", help="a .ckpt file of a run")
    parser.add_argument(
        "inputs",
        nargs="+",
        help="images or folders of images; texts, files of lines (.txt), tables (.csv, .tsv, .jsonl, .parquet, "
        ".xlsx, ...) of texts or of series; files of a custom format; or - for standard input: lines of text, names of "
        "files, or a CSV of series",
    )
    parser.add_argument(
        "--column", help="column of the texts in a table: a name, or a position from 0 without a header"
    )
    for name, what in TABLE_FLAGS.items():
        parser.add_argument(f"--{name}", help=f"{what} of a table, where it is not found from the file")
    parser.add_argument(
        "--horizon",
        type=int,
        help="number of steps to forecast series (default: as in training); beyond those of the "
        "training from forecasts",
    )
    parser.add_argument(
        "--fill", choices=FILLS, help="handling of missing values and steps of series (default: as in training)"
    )
    parser.add_argument(
        "--on_duplicate", choices=DUPLICATES, help="what to do with rows of a series that have one time stamp"
    )
    parser.add_argument("--top", type=int, default=1, help="number of most probable classes to list (default: 1)")
    add_tta(parser)
    parser.add_argument(
        "--explain",
        nargs="?",
        const=DEFAULT_PARTS,
        type=count_parts,
        metavar="K",
        help="add a column with the K words, regions or steps that decided most, and how much each added to the output "
        f"(default: {DEFAULT_PARTS})",
    )
    parser.add_argument(
        "--explain_dir",
        type=Path,
        help="folder for a picture of what decided, for each image (default: beside --output, as NAME_explained)",
    )
    parser.add_argument("-o", "--output", type=Path, help="write a CSV instead of printing a table")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    parser.add_argument("--batch_size", type=int, default=256, help="number of inputs in a batch (default: 256)")
    parser.add_argument(
        "--gpus", default="auto", help="auto (default), 0 for the CPU, a number of GPUs, or ids such as 1,"
    )
    add_trust(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors")
    options = parser.parse_args(args)
    return exit_code(lambda: predict(options), debug=options.debug)


def predict(options: argparse.Namespace) -> None:
    """Load a checkpoint, read the inputs batch by batch, and write a row for each, in order.

    Raises:
        UsageError: the arguments are invalid.
        DataError: an input could not be predicted; raised after all rows are written.
    """
    if options.batch_size < 1:
        raise UsageError(f"expected --batch_size of at least 1, received {options.batch_size}")
    if options.output is not None:
        check_output(options.output, overwrite=options.overwrite, suffixes=(".csv",))
    if options.explain_dir is not None and options.explain is None:
        raise UsageError("--explain_dir is for the pictures of --explain: add --explain")
    # Torch and Lightning are imported after all that needs neither.
    from lightfit.scripts.inference.inputs import choose_inputs
    from lightfit.scripts.inference.predictor import Predictor, choose_devices
    from lightfit.scripts.inference.rows import check_top, predict_rows
    from lightfit.scripts.inference.trained import add_mirrored_views, load_trained

    hush()
    trained = load_trained(options.checkpoint, options.trust)
    check_top(options.top, trained.codec)
    if options.tta:
        add_mirrored_views(trained)
    register_flags({"text_column": "--column", **{name: f"--{name}" for name in (*TABLE_FLAGS, *SERIES_FLAGS)}})
    column = int(options.column) if (options.column or "").isdecimal() else options.column
    predictor = Predictor(trained.model, trained.codec, choose_devices(options.gpus))
    inputs = open_inputs(choose_inputs(trained), options).stream(options.inputs, column)
    problems: list[str] = []
    explanations = make_explanations(options, trained, predictor)
    rows = predict_rows(predictor, inputs, batch_size=options.batch_size, top=options.top, add=explanations)
    texts = ["input"] if trained.codec.domain == "text" else []  # texts may be long, and the row number identifies them
    total = None if trained.codec.domain == "series" else estimate(options.inputs)  # tables hold any number of series
    num_inputs = write(track_progress(rows, problems, total), options.output, without=texts)
    if explanations is not None:
        explanations.report()
    if problems:
        raise DataError(
            f"{len(problems)} of {num_inputs} inputs could not be predicted, see the column error; the first: "
            f"{problems[0]}"
        )


def count_parts(text: str) -> int:
    """Return the number of parts that `--explain` is followed by.

    Raises:
        argparse.ArgumentTypeError: it is no number of at least 1.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"expected the number of parts to list, at least 1, received '{text[:60]}': leave it out for "
            f"{DEFAULT_PARTS}, with the inputs before --explain, or write --explain {DEFAULT_PARTS} before them"
        )
    return int(text)


def make_explanations(options: argparse.Namespace, trained: Any, predictor: Any) -> Any:
    """Return what explains the predictions, or None where that was not asked for.

    Raises:
        UsageError: the flags do not go together, or this net cannot be explained.
        MissingPackageError: captum is needed, and is not installed.
    """
    if options.explain is None:
        return None
    from lightfit.scripts.inference.explanation import ExplanationColumns, check_explanations

    check_explanations(trained)
    folder = options.explain_dir
    if trained.codec.domain != "images" and folder is not None:
        raise UsageError(
            f"--explain_dir is for pictures, and this checkpoint reads {trained.codec.domain}: leave it out"
        )
    if trained.codec.domain == "images" and folder is None and options.output is not None:
        folder = options.output.with_name(f"{options.output.stem}_explained")
    if folder is not None and folder.exists() and not (folder.is_dir() and options.overwrite):
        raise UsageError(
            f"'{folder}' exists, where the pictures of --explain go: choose another --explain_dir, or set --overwrite"
        )
    if options.horizon is not None and options.horizon > trained.codec.horizon:
        raise UsageError(
            f"--explain is of the {trained.codec.horizon} steps of the training, received --horizon {options.horizon}: "
            "leave one of them out"
        )
    as_text = options.output is None or options.output.suffix.lower() not in NESTED
    return ExplanationColumns(predictor, top=options.explain, ranks=options.top, as_text=as_text, folder=folder)


def open_inputs(inputs: Any, options: argparse.Namespace) -> Any:
    """Return the reader of inputs, with the options of tables and of series that were given.

    Raises:
        UsageError: they make no sense, or the checkpoint reads neither.
    """
    from lightfit.datamodules.tables.options import TableOptions

    given = {name: getattr(options, name) for name in TABLE_FLAGS if getattr(options, name) is not None}
    if given and not hasattr(inputs, "options"):
        raise UsageError(
            f"--{next(iter(given))} is for tables of texts or series, which this checkpoint does not read: leave it out"
        )
    series = {name: getattr(options, name) for name in SERIES_FLAGS if getattr(options, name) is not None}
    if series and not hasattr(inputs, "new"):
        raise UsageError(f"--{next(iter(series))} is for series, which this checkpoint does not read: leave it out")
    if options.horizon is not None and options.horizon < 1:
        raise UsageError(f"expected --horizon of at least 1, received {options.horizon}")
    try:
        if given:
            inputs.options = TableOptions(**given)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if options.horizon is not None and options.horizon > inputs.codec.horizon:
        print(
            f"--horizon {options.horizon} is beyond the {inputs.codec.horizon} steps of the training: later ones are "
            "forecast from forecasts, and their intervals are too narrow",
            file=sys.stderr,
        )
    if series:
        inputs.new = inputs.new._replace(**series)
    return inputs


def estimate(inputs: list[str]) -> int | None:
    """Estimate the number of inputs, from lines of files and files of folders; None for standard input."""
    total = 0
    for path in map(Path, inputs):
        if str(path) == "-":
            return None
        if os.path.isdir(path):  # Path.is_dir fails on a text that is too long for a file name
            total += sum(1 for file in path.rglob("*") if file.is_file())
        elif path.suffix.lower() in LINES and os.path.isfile(path):
            with path.open("rb") as file:
                total += sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(READ_BYTES), b""))  # noqa: B023
        else:
            total += 1
    return total


def track_progress(rows: Iterable[Any], problems: list[str], total: int | None) -> Iterator[Any]:
    """Yield the tables of `predict_rows` with their numbers of inputs, show a progress bar, and collect the problems.

    Args:
        rows: items of `predict_rows`.
        problems: receives the problems of the inputs.
        total: estimated number of inputs, for the progress bar.
    """
    from tqdm import tqdm

    # The bar appears after 1 s, and only if standard error is a terminal.
    with tqdm(desc="predicting", total=total, unit=" inputs", delay=1, disable=None, leave=False) as bar:
        for table, num_inputs, bad in rows:
            problems += bad
            bar.update(num_inputs)
            yield table, num_inputs


def write(tables: Iterable[Any], output: Path | None, *, without: list[str]) -> int:
    """Write tables to one CSV, without some columns, or print them; return the number of inputs."""
    num_inputs = num_rows = 0
    if output is None:
        for table, num in tables:
            shown = table if table.iloc[:, -1].any() else table.iloc[:, :-1]
            print(shown.to_string(index=False, header=num_inputs == 0, na_rep=""))
            num_inputs += num
        return num_inputs
    with output_file(output) as temporary:
        columns: list[str] = []
        for table, num in tables:
            columns = append_rows(table.drop(columns=without), temporary, columns)
            num_rows += len(table)
            num_inputs += num
    print(f"{num_rows} rows in {output}")
    return num_inputs


def append_rows(table: Any, path: Path, columns: list[str]) -> list[str]:
    """Append a table to a CSV, which gets a further column where the table has one that it had no need of before.

    Args:
        table: the rows, a DataFrame.
        path: the file.
        columns: columns of the file; none: it is begun.

    Returns:
        The columns of the file now.
    """
    if columns and (added := [name for name in table.columns if name not in columns]):
        insert_columns(path, {name: table.columns.get_loc(name) for name in added})
        columns = list(table.columns)
    with path.open("a" if columns else "w", encoding="utf-8", newline="") as file:
        table.reindex(columns=columns or table.columns).to_csv(file, index=False, header=not columns)
    return columns or list(table.columns)


def insert_columns(path: Path, places: Mapping[str, int]) -> None:
    """Insert empty columns into a CSV, at their places."""
    with (
        path.open(encoding="utf-8", newline="") as file,
        output_file(path) as wider,
        wider.open("w", encoding="utf-8", newline="") as written,
    ):
        writer = csv.writer(written, lineterminator=os.linesep)
        for number, row in enumerate(csv.reader(file)):
            for name, place in places.items():
                row.insert(place, "" if number else name)
            writer.writerow(row)


if __name__ == "__main__":
    postpone()
    sys.exit(main())
