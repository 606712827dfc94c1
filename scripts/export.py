"""Export a checkpoint for other runtimes: `python scripts/export.py CKPT --format onnx`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":  # run as a file: custom classes come from the working directory, LightFit's from this clone
    sys.path[:1] = [str(Path.cwd()), str(Path(__file__).resolve().parents[1])]

from lightfit.errors import UsageError
from lightfit.scripts.cli.command import program
from lightfit.scripts.cli.exit_codes import exit_code
from lightfit.scripts.cli.flags import add_trust
from lightfit.scripts.cli.outputs import check_output, output_file, output_folder
from lightfit.scripts.cli.postponed import postpone
from lightfit.scripts.cli.quiet import hush
from lightfit.scripts.training.run_folder import find_run

if TYPE_CHECKING:
    from lightfit.scripts.exporting.samples import Chosen
    from lightfit.scripts.exporting.writing import Wanted
    from lightfit.scripts.inference.trained import Trained

FORMATS = ("onnx", "pt2", "safetensors", "bundle")
BUNDLE = "bundle"  # a folder with the ONNX file and all that runs it
MAX_DROP = 0.01


def main(args: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        program("export"),
        description="Export a checkpoint for other runtimes, and compare its predictions with those of the checkpoint: "
        "if they differ, nothing is written.",
        allow_abbrev=False,
    )
    parser.add_argument("checkpoint", help="a .ckpt file of a run")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        required=True,
        help="onnx: for onnxruntime; pt2: for torch.export.load; safetensors: the weights with their configuration; "
        "bundle: a folder with the ONNX file, a program that predicts with it, its requirements, a Dockerfile and a "
        "README",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="output file, or folder of a bundle (default: model.<format> or bundle, in the run folder)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    parser.add_argument(
        "--dtype", choices=("float16",), help="of onnx and bundle: write weights of 16 bits, which halves the file"
    )
    parser.add_argument(
        "--quantize",
        choices=("int8",),
        help="of onnx and bundle: write weights of 8 bits, a quarter of the file (dynamic quantization)",
    )
    parser.add_argument(
        "--max_drop",
        type=float,
        help="how much worse a smaller file may score on the val split, else it is deleted: of accuracy and F1 the "
        f"difference, of errors of numbers and forecasts the share by which they grow (default: {MAX_DROP})",
    )
    parser.add_argument(
        "--input", nargs="+", help="samples to compare on, as for predict.py (default: samples of the val split)"
    )
    add_trust(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors")
    options = parser.parse_args(args)
    return exit_code(lambda: export(options), debug=options.debug)


def export(options: argparse.Namespace) -> None:
    """Export a checkpoint and compare the predictions; delete what was written if they differ.

    Raises:
        UsageError: the arguments are invalid.
        ValueError: the net cannot be exported, or the predictions or the example program differ.
    """
    check_flags(options)
    checkpoint = Path(options.checkpoint)
    is_bundle = options.format == BUNDLE
    name = BUNDLE if is_bundle else f"model.{options.format}"
    output = options.output or find_run(checkpoint) / name
    if checkpoint.is_file() or options.output:
        if is_bundle:
            from lightfit.scripts.exporting.bundle import check_folder

            check_folder(output, overwrite=options.overwrite)
        else:
            check_output(output, overwrite=options.overwrite, suffixes=(f".{options.format}",))
    # Torch and Lightning are imported after all that needs neither.
    from lightfit.scripts.exporting.samples import choose_samples
    from lightfit.scripts.exporting.writing import Wanted, write
    from lightfit.scripts.inference.trained import load_trained

    hush()
    trained = load_trained(checkpoint, options.trust)
    wanted = Wanted(
        "onnx" if is_bundle else options.format,
        options.dtype or options.quantize,
        MAX_DROP if options.max_drop is None else options.max_drop,
    )
    samples = choose_samples(trained, options.input)
    if not is_bundle:
        with output_file(output) as temporary:
            lines = write(trained, temporary, samples, wanted)
        size = output.stat().st_size
    else:
        lines, size = write_bundle(trained, output, samples, wanted)
    print("\n".join([*lines, f"written: {output} ({size / 2**20:.1f} MiB)"]))


def write_bundle(trained: "Trained", output: Path, samples: "Chosen", wanted: "Wanted") -> tuple[list[str], int]:
    """Write a folder with an ONNX file and what runs it, and return what the comparison found, and the file's size."""
    from lightfit.scripts.exporting.bundle import MODEL, fill_folder
    from lightfit.scripts.exporting.example import find_program
    from lightfit.scripts.exporting.formats import collect_metadata
    from lightfit.scripts.exporting.writing import write

    program = find_program(trained)
    if program is None:
        raise ValueError(
            f"there is no program that encodes samples as {type(trained.codec).__name__} of this checkpoint does, so a "
            "bundle could not predict: export --format onnx, and encode them yourself"
        )
    with output_folder(output) as folder:
        lines = write(trained, folder / MODEL, samples, wanted)
        fill_folder(folder, program, collect_metadata(trained), lines)
        size = sum(path.stat().st_size for path in folder.iterdir())
    return lines, size


def check_flags(options: argparse.Namespace) -> None:
    """Check that the flags go together.

    Raises:
        UsageError: they do not, or a value makes no sense.
    """
    given = [f"--{name} {getattr(options, name)}" for name in ("dtype", "quantize") if getattr(options, name)]
    if given and options.format not in ("onnx", BUNDLE):
        raise UsageError(
            f"{given[0]} is for --format onnx and bundle, received --format {options.format}: leave it out, or choose "
            "one of these"
        )
    if len(given) > 1:
        raise UsageError(f"expected one of {' and '.join(given)}, received both: leave one out")
    if options.max_drop is not None and not given:
        raise UsageError("--max_drop is for smaller weights: add --quantize int8 or --dtype float16, or leave it out")
    if options.max_drop is not None and not options.max_drop >= 0:
        raise UsageError(f"expected --max_drop of at least 0, received {options.max_drop:g}")


if __name__ == "__main__":
    postpone()
    sys.exit(main())
