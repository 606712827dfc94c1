"""Predict from a checkpoint alone: `python scripts/predict.py CKPT INPUT...`."""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: import from the repository, not from this folder, and classes of one's own
    sys.path[:1] = [str(Path(__file__).resolve().parents[1]), str(Path.cwd())]

from scripts.errors import UsageError, exit_code
from scripts.quiet import hush


def main(args: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser("predict.py", description="Predict from a checkpoint alone.", allow_abbrev=False)
    parser.add_argument("checkpoint", help="a .ckpt file of a run")
    parser.add_argument(
        "inputs",
        nargs="+",
        help="images or folders of them; texts, lines (.txt), tables (.csv, .tsv, .jsonl), -; or tables of series",
    )
    parser.add_argument("--column", help="the texts' column of a table: a name, or a position from 0 without a header")
    parser.add_argument("-o", "--output", type=Path, help="write a CSV instead of printing a table")
    parser.add_argument("--batch_size", type=int, default=256, help="number of inputs in a batch (default: 256)")
    parser.add_argument("--gpus", default="auto", help="auto (default), 0 the CPU, N that many, or ids such as 1,")
    parser.add_argument("--debug", action="store_true", help="errors with their traceback")
    options = parser.parse_args(args)
    return exit_code(lambda: predict(options), debug=options.debug)


def predict(options: argparse.Namespace) -> None:
    """Reads the checkpoint and the inputs, predicts, prints or writes a row for each input, in order.

    Raises:
        UsageError: what was typed cannot be done.
    """
    if options.batch_size < 1:
        raise UsageError(f"expected --batch_size of at least 1, received {options.batch_size}")
    if options.output is not None and not options.output.absolute().parent.is_dir():
        raise UsageError(f"no folder '{options.output.absolute().parent}' to write {options.output.name} into")
    # Torch and Lightning, imported after what needs neither.
    from datamodules import DataModule, LabelledDataModule
    from lightning_modules import LightModel
    from lightning_modules.checkpoint import read_checkpoint
    from scripts.predictions import predict_table

    hush()
    checkpoint = read_checkpoint(options.checkpoint)
    data = DataModule.from_checkpoint(checkpoint)
    model = LightModel.from_checkpoint(checkpoint)
    column = int(options.column) if (options.column or "").isdecimal() else options.column
    samples = data.read_inputs(options.inputs, column)
    table = predict_table(model, data, samples, batch_size=options.batch_size, gpus=options.gpus)
    if options.output is None:
        print(table.to_string(index=False))
    else:
        from callbacks.plots import write_csv  # here, as it brings all callbacks along

        if isinstance(data, LabelledDataModule):
            table = table.drop(columns="input", errors="ignore")  # texts, which may be long
        write_csv(table, options.output)
        print(f"{len(table)} rows in {options.output}")


if __name__ == "__main__":
    sys.exit(main())
