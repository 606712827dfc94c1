"""Evaluate a checkpoint: `python scripts/evaluate.py CKPT`."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":  # run as a file: custom classes come from the working directory, LightFit's from this clone
    sys.path[:1] = [str(Path.cwd()), str(Path(__file__).resolve().parents[1])]

from lightfit.errors import UsageError
from lightfit.scripts.cli.command import program
from lightfit.scripts.cli.exit_codes import exit_code
from lightfit.scripts.cli.flags import add_trust, add_tta
from lightfit.scripts.cli.outputs import check_output, output_file
from lightfit.scripts.cli.postponed import postpone
from lightfit.scripts.cli.quiet import hush
from lightfit.scripts.training.run_folder import find_run

if TYPE_CHECKING:
    from lightfit.scripts.evaluation.data import ChosenSplit
    from lightfit.scripts.evaluation.result import Evaluation
    from lightfit.scripts.inference.trained import Trained

FILES = ("evaluation.json", "report.html", "most_wrong.csv", "series.csv", "forecasts.csv")
SHOWN_TABLES = 8  # in a terminal, with those of words
SHOWN = (  # columns of the tables of forecasts that fit into a terminal; the files have all
    *("forecast", "step", "target", "series", "windows", "mae", "rmse", "mase", "wape", "coverage", "width"),
    *("naive_mase", "beaten_by_naive", "values", "candidate", "error", "weight"),
)


def main(args: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        program("evaluate"),
        description="Evaluate a checkpoint on the test or val split of its data, or on other data.",
        epilog="Set --data.* to evaluate on other data, such as --data.source reviews.csv, --data.root photos or "
        "--data.path sales.csv; classes, vocabulary and scaling are those of the checkpoint.",
        allow_abbrev=False,
    )
    parser.add_argument("checkpoint", help="a .ckpt file of a run")
    parser.add_argument(
        "--split", choices=("test", "val"), help="split to evaluate on (default: test if there is one, else val)"
    )
    parser.add_argument("-o", "--output", type=Path, help="output folder (default: evaluation, in the run folder)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument(
        "--gpus", default="auto", help="auto (default), 0 for the CPU, a number of GPUs, or ids such as 1,"
    )
    add_tta(parser)
    parser.add_argument(
        "--nearest", action="store_true", help="show the training images nearest to the most wrong ones in the report"
    )
    parser.add_argument(
        "--origins", type=int, metavar="N", help="of series: forecast from N origins spread evenly, instead of all"
    )
    parser.add_argument(
        "--refit", action="store_true", help="of series: fit the net anew before each origin, on what lies before it"
    )
    parser.add_argument(
        "--baselines",
        metavar="NAMES",
        help="of series: statistical models to compare with, fitted before each origin, such as AutoETS,AutoTheta "
        "(of statsforecast)",
    )
    add_trust(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors")
    options, rest = parser.parse_known_args(args)
    return exit_code(lambda: evaluate(options, rest), debug=options.debug)


def evaluate(options: argparse.Namespace, rest: list[str]) -> None:
    """Evaluate a checkpoint, print the scores, and write them with a page, and the most wrong samples of a classifier.

    Args:
        options: the flags.
        rest: arguments `--data.*`.

    Raises:
        UsageError: the arguments are invalid.
    """
    if strange := [word for word in rest if word.startswith("-") and not word.startswith("--data.")]:
        raise UsageError(f"unknown option {strange[0]}: see --help; --data.* select other data")
    folder = options.output or find_run(Path(options.checkpoint)) / "evaluation"
    if folder.is_file() or not folder.absolute().parent.is_dir():
        raise UsageError(
            f"expected --output as an existing folder, or a new one in an existing folder, received '{folder}'"
        )
    for name in FILES:
        if folder.is_dir():
            check_output(folder / name, overwrite=options.overwrite)
    check_origins(options)
    # Torch and Lightning are imported after all that needs neither.
    from lightfit.callbacks.logs.sample_outputs import SampleOutputs
    from lightfit.scripts.evaluation.data import choose_split
    from lightfit.scripts.evaluation.scores import evaluate_split, quiet_trainer
    from lightfit.scripts.inference.trained import add_mirrored_views, load_trained

    hush()
    trained = load_trained(options.checkpoint, options.trust)
    if options.origins is not None and trained.codec.domain != "series":
        raise UsageError(f"--origins is for series, and this checkpoint reads {trained.codec.domain}: leave it out")
    if options.tta:
        add_mirrored_views(trained)
    chosen = choose_split(trained, rest, options.split)
    if options.origins is None:
        trainer = quiet_trainer(options.gpus, callbacks=[SampleOutputs()])
        evaluation = evaluate_split(trainer, trained.model, chosen.data, chosen.name)
    else:
        evaluation = evaluate_origins(options, trained, chosen)
    if evaluation is not None:
        if options.nearest:
            add_nearest(evaluation, trained, chosen)
        report(add_deciding_words(evaluation, trained, chosen), trained, chosen, folder)


def check_origins(options: argparse.Namespace) -> None:
    """Check the flags about rolling origins.

    Raises:
        UsageError: they do not go together, or the number of origins is not at least 1.
    """
    if options.origins is not None and options.origins < 1:
        raise UsageError(f"expected --origins of at least 1, received {options.origins}")
    for flag in ("refit", "baselines"):
        if getattr(options, flag) and options.origins is None:
            raise UsageError(f"--{flag} fits anew before each origin, so it needs their number: add --origins 10")


def evaluate_origins(options: argparse.Namespace, trained: "Trained", chosen: "ChosenSplit") -> "Evaluation | None":
    """Evaluate a forecaster from rolling origins, fitted anew before each if asked, beside statistical models if asked.

    Raises:
        UsageError: the net cannot be fitted anew, or a statistical model is not known.
    """
    from lightfit.callbacks.logs.sample_outputs import SampleOutputs
    from lightfit.scripts.evaluation.origins import (
        check_refit,
        choose_origins,
        find_statistical,
        forecast_statistical,
        refit_forecasts,
    )
    from lightfit.scripts.evaluation.scores import evaluate_refitted, evaluate_split, quiet_trainer

    model, data = trained.model, chosen.data
    if options.refit:
        check_refit(model)
    models = find_statistical([name for name in (options.baselines or "").split(",") if name])
    places = data.windows(chosen.name)  # type: ignore[attr-defined]
    rows = choose_origins(places, options.origins)
    quantiles = tuple(getattr(model, "quantiles", ()))
    baselines = {}
    for name, cls in models.items():
        baselines[name], failed = forecast_statistical(cls, places, rows, quantiles)
        if failed:
            print(f"{name} could not be fitted {failed:,} times: the last value stands in its place")
    if options.refit:
        outputs = refit_forecasts(model, data, chosen.name, rows)
        return evaluate_refitted(model, data, chosen.name, outputs, rows=rows, baselines=baselines)
    trainer = quiet_trainer(options.gpus, callbacks=[SampleOutputs()])
    return evaluate_split(trainer, model, data, chosen.name, rows=rows, baselines=baselines)


def add_deciding_words(evaluation: "Evaluation", trained: "Trained", chosen: "ChosenSplit") -> "Evaluation":
    """Return an evaluation with the words that decide, where the net is a linear one of texts."""
    from lightfit.datamodules import DataModule
    from lightfit.scripts.evaluation.words import add_words

    if trained.codec.domain != "text" or not isinstance(chosen.data, DataModule):
        return evaluation
    return add_words(evaluation, trained.model, trained.codec, chosen.data.loaded.batches[chosen.name])


def add_nearest(evaluation: "Evaluation", trained: "Trained", chosen: "ChosenSplit") -> None:
    """Add a picture of the training images nearest to the most wrong ones to an evaluation.

    Raises:
        UsageError: there are no such images.
    """
    from lightfit.scripts.evaluation.nearest import check_nearest, plot_nearest

    check_nearest(evaluation, chosen.data, chosen.name)
    net = trained.model.net
    if evaluation.wrong is not None and len(evaluation.wrong) and net is not None:
        plot = plot_nearest(evaluation, chosen.data, net.cpu(), chosen.name)
        evaluation.plots["nearest training images"] = lambda: plot


def report(evaluation: "Evaluation", trained: "Trained", chosen: "ChosenSplit", folder: Path) -> None:
    """Print the scores and write the output files."""
    from lightfit.callbacks.logs.run_folder import write_csv
    from lightfit.scripts.cli.arguments import name_flags
    from lightfit.scripts.cli.score_format import format_score
    from lightfit.scripts.evaluation.forecasts import MOST_ROWS
    from lightfit.scripts.evaluation.page import as_plain, render_report, shorten_names, tabulate_metrics
    from lightfit.scripts.evaluation.words import WORDS
    from lightfit.version import VERSION

    what = f"{chosen.title} of {chosen.source}, {evaluation.num_samples:,} samples"
    print(f"{trained.path}\n{what}\n")
    print(tabulate_metrics(evaluation).to_string(index=False, na_rep="", float_format=format_score))
    for name, table in evaluation.tables.items():
        if evaluation.series is not None:
            table = shorten_names(table[[column for column in table if column in SHOWN]])
        if name.startswith(WORDS) and len(evaluation.tables) > SHOWN_TABLES:
            continue  # a table for each class, which are in the report
        if len(table) <= 24 and table.shape[1] <= 12:
            print(f"\n{name}\n{table.to_string(index=False, na_rep='', float_format=format_score)}")
    if evaluation.headline:
        print(f"\n{evaluation.format_headline()}")
    for line in evaluation.remarks:
        if line.startswith("warning"):  # the others are in the tables
            print(line)
    folder.mkdir(parents=True, exist_ok=True)
    names = {"checkpoint": str(trained.path), "split": chosen.title, "source": chosen.source}
    warnings = [name_flags(warning) for warning in chosen.data.loaded.findings.warnings]
    paths = [folder / name for name in FILES]
    with output_file(paths[0]) as path:
        written = names | {"trained_by": trained.version, "evaluated_by": VERSION, "warnings": warnings}
        written |= as_plain(evaluation)
        path.write_text(json.dumps(written, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    with output_file(paths[1]) as path:
        title = f"{type(trained.model.net).__name__} on {chosen.source}"
        subtitle = f"{what}; checkpoint {trained.path}, by LightFit {trained.version}"
        page = render_report(
            evaluation, title=title, subtitle=subtitle, configuration=trained.configuration, warnings=warnings
        )
        path.write_text(page, encoding="utf-8")
    written_paths = paths[:2]
    for path, rows in ((paths[2], evaluation.wrong), (paths[3], evaluation.series)):
        path.unlink(missing_ok=True)  # of an earlier evaluation
        if rows is not None:
            write_csv(rows, path)
            written_paths.append(path)
    paths[4].unlink(missing_ok=True)
    if evaluation.write_forecasts is not None:
        if (num_rows := evaluation.count_forecasts()) > MOST_ROWS:
            print(
                f"{paths[4].name} is not written, as it would have {num_rows:,} rows: --origins 10 takes fewer windows"
            )
        else:
            with output_file(paths[4]) as path:
                evaluation.write_forecasts(path)
            written_paths.append(paths[4])
    print(f"\nwritten: {', '.join(map(str, written_paths))}")


if __name__ == "__main__":
    postpone()
    sys.exit(main())
