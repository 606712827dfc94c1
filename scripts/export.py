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
from lightfit.scripts.cli.outputs import check_output, output_file
from lightfit.scripts.cli.postponed import postpone
from lightfit.scripts.cli.quiet import hush
from lightfit.scripts.training.run_folder import find_run

if TYPE_CHECKING:
    from torch import Tensor

    from lightfit.scripts.exporting.formats import Runtime
    from lightfit.scripts.inference.trained import Trained

FORMATS = ("onnx", "pt2", "safetensors")
NUM_SAMPLES = 64  # number of samples to compare
TOLERANCE = 1e-4


def main(args: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        program("export"),
        description="Export a checkpoint for other runtimes, and compare its predictions with those of the checkpoint.",
        allow_abbrev=False,
    )
    parser.add_argument("checkpoint", help="a .ckpt file of a run")
    parser.add_argument("--format", choices=FORMATS, required=True, help="format of the file")
    parser.add_argument("-o", "--output", type=Path, help="output file (default: model.<format> in the run folder)")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    parser.add_argument(
        "--input", nargs="+", help="samples to compare on, as for predict.py (default: samples of the val split)"
    )
    add_trust(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors")
    options = parser.parse_args(args)
    return exit_code(lambda: export(options), debug=options.debug)


def export(options: argparse.Namespace) -> None:
    """Export a checkpoint and compare the predictions; delete the file if they differ.

    Raises:
        UsageError: the arguments are invalid.
        ValueError: the net cannot be exported, or the predictions or the example program differ.
    """
    checkpoint = Path(options.checkpoint)
    output = options.output or find_run(checkpoint) / f"model.{options.format}"
    if checkpoint.is_file() or options.output:
        check_output(output, overwrite=options.overwrite, suffixes=(f".{options.format}",))
    # Torch and Lightning are imported after all that needs neither.
    from lightfit.scripts.exporting import formats as exporting
    from lightfit.scripts.inference.trained import load_trained

    hush()
    trained = load_trained(checkpoint, options.trust)
    x, where = choose_samples(trained, options.input)
    write = {"onnx": exporting.write_onnx, "pt2": exporting.write_pt2, "safetensors": exporting.write_safetensors}
    with output_file(output) as temporary:
        runtime = write[options.format](trained, temporary)
        difference = exporting.measure_difference(runtime, trained.model, x)
        if not difference <= TOLERANCE:
            raise ValueError(
                f"the predictions of the {options.format} file differ from the checkpoint's by up to {difference:.2g} "
                f"on {where}; expected at most {TOLERANCE}. The file was deleted"
            )
        said = check_example(trained, runtime) if options.format == "onnx" else ""
    print(f"largest difference to the checkpoint's predictions: {difference:.2g}, on {where}{said}")
    print(f"written: {output} ({output.stat().st_size / 2**20:.1f} MiB)")


def check_example(trained: "Trained", runtime: "Runtime") -> str:
    """Compare the example program with the checkpoint, and return the differences in words; nothing if it has none.

    Raises:
        ValueError: its pixels differ.
    """
    from lightfit.scripts.exporting.example import MOST_STEPS, PROGRAM, compare_example, has_example

    if not has_example(trained):
        return ""
    found = compare_example(trained, runtime)
    if not found.steps <= MOST_STEPS:
        raise ValueError(
            f"the program {PROGRAM.name} prepares images in another way than the checkpoint: on '{found.worst}', which "
            f"was made for the comparison, pixels differ by up to {found.steps:.0f} of 255, expected at most "
            f"{MOST_STEPS:.0f}; predictions differ by up to {found.predictions:.2g}. The file was deleted"
        )
    return (
        f"\n{PROGRAM.name} on {len(found.names)} odd images ({', '.join(found.names)}): pixels differ by up to "
        f"{found.steps:.0f} of 255, predictions by up to {found.predictions:.2g}"
    )


def choose_samples(trained: "Trained", inputs: list[str] | None) -> tuple["Tensor", str]:
    """Return encoded samples to compare on, and a description of them.

    Args:
        trained: the checkpoint.
        inputs: inputs as for `predict`; None: samples of the val split, or a dummy batch if the data is not there.

    Raises:
        UsageError: the inputs hold no samples.
    """
    import torch

    from lightfit.scripts.evaluation.data import choose_split
    from lightfit.scripts.inference.inputs import choose_inputs

    if inputs:
        samples = choose_inputs(trained).read(inputs)[:NUM_SAMPLES]
        return trained.codec.encode(samples), f"{len(samples)} samples of {', '.join(inputs)}"
    try:
        chosen = choose_split(trained, [], "val")
    except (OSError, ValueError, LookupError, UsageError) as error:  # without the data, a dummy batch is enough
        print(f"the data is not available ({error}): comparing on a dummy batch of two samples; set --input for others")
        return trained.codec.dummy_batch(), "a dummy batch"
    x, _ = chosen.batches[torch.arange(min(NUM_SAMPLES, len(chosen.batches)))]
    return x, f"{len(x)} samples of val of {chosen.source}"


if __name__ == "__main__":
    postpone()
    sys.exit(main())
