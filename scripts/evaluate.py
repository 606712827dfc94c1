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

FILES = ("evaluation.json", "report.html", "most_wrong.csv")


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
    # Torch and Lightning are imported after all that needs neither.
    from lightfit.callbacks.logs.sample_outputs import SampleOutputs
    from lightfit.scripts.evaluation.data import choose_split
    from lightfit.scripts.evaluation.scores import evaluate_split, quiet_trainer
    from lightfit.scripts.inference.trained import add_mirrored_views, load_trained

    hush()
    trained = load_trained(options.checkpoint, options.trust)
    if options.tta:
        add_mirrored_views(trained)
    chosen = choose_split(trained, rest, options.split)
    trainer = quiet_trainer(options.gpus, callbacks=[SampleOutputs()])
    evaluation = evaluate_split(trainer, trained.model, chosen.data, chosen.name)
    if evaluation is not None:
        if options.nearest:
            add_nearest(evaluation, trained, chosen)
        report(evaluation, trained, chosen, folder)


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
    from lightfit.callbacks.pictures.plots import write_csv
    from lightfit.scripts.cli.arguments import name_flags
    from lightfit.scripts.evaluation.page import as_plain, render_report, tabulate_metrics
    from lightfit.version import VERSION

    what = f"{chosen.title} of {chosen.source}, {evaluation.num_samples:,} samples"
    print(f"{trained.path}\n{what}\n")
    print(tabulate_metrics(evaluation).to_string(index=False, na_rep="", float_format="{:.4f}".format))
    for name, table in evaluation.tables.items():
        if len(table) <= 24 and table.shape[1] <= 12:
            print(f"\n{name}\n{table.to_string(index=False, na_rep='', float_format='{:.4f}'.format)}")
    if evaluation.headline:
        print(f"\n{evaluation.format_headline()}")
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
    if evaluation.wrong is None:
        paths[2].unlink(missing_ok=True)  # of an earlier evaluation
        del paths[2]
    else:
        write_csv(evaluation.wrong, paths[2])
    print(f"\nwritten: {', '.join(map(str, paths))}")


if __name__ == "__main__":
    postpone()
    sys.exit(main())
