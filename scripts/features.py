"""Draw feature maps, or write embeddings: `python scripts/features.py CKPT IMAGE -o maps.png`."""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: custom classes come from the working directory, LightFit's from this clone
    sys.path[:1] = [str(Path.cwd()), str(Path(__file__).resolve().parents[1])]

from lightfit.errors import DataError, UsageError
from lightfit.scripts.cli.command import format_command, program
from lightfit.scripts.cli.exit_codes import exit_code
from lightfit.scripts.cli.flags import add_trust
from lightfit.scripts.cli.outputs import check_output
from lightfit.scripts.cli.postponed import postpone
from lightfit.scripts.cli.quiet import hush


def main(args: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        program("features"),
        description="Draw the feature maps of a sample, or write the embedding of each sample to a table, from a "
        "checkpoint alone.",
        allow_abbrev=False,
    )
    parser.add_argument("checkpoint", help="a .ckpt file of a run")
    parser.add_argument(
        "inputs", nargs="+", help="an image, or a text for a text model; with --embed any inputs, as of predict.py"
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="output file (default: maps.png, or embeddings.csv; .parquet is smaller)"
    )
    parser.add_argument("--embed", action="store_true", help="write what the last layer of the net gets, by sample")
    parser.add_argument("--overwrite", action="store_true", help="replace a table that exists")
    parser.add_argument("--batch_size", type=int, default=256, help="number of inputs in a batch (default: 256)")
    parser.add_argument("--layers", nargs="+", help="names of layers, or patterns of names (default: chosen)")
    parser.add_argument("--num_maps", type=int, default=4, help="number of maps for each layer (default: 4)")
    add_trust(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors")
    options = parser.parse_args(args)
    return exit_code(lambda: (embed if options.embed else draw)(options), debug=options.debug)


def draw(options: argparse.Namespace) -> None:
    """Draw the feature maps and write the picture.

    Raises:
        UsageError: the arguments are invalid.
    """
    if options.num_maps < 1:
        raise UsageError(f"expected --num_maps of at least 1, received {options.num_maps}")
    if len(options.inputs) != 1:
        raise UsageError(f"expected one input to draw, received {len(options.inputs)}: --embed takes any number")
    output = options.output or Path("maps.png")
    if output.suffix.lower() != ".png":
        raise UsageError(f"expected --output to end in .png, received '{output}'")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"no folder '{output.absolute().parent}' to write {output.name} into")
    # Torch and Lightning are imported after all that needs neither.
    from lightfit.callbacks import feature_maps, plot_feature_maps
    from lightfit.callbacks.pictures.plots import write_png
    from lightfit.callbacks.pictures.protocols import Denormalises, NamesPositions
    from lightfit.scripts.inference.inputs import choose_inputs
    from lightfit.scripts.inference.trained import load_trained

    hush()
    trained = load_trained(options.checkpoint, options.trust)
    codec, model = trained.codec, trained.model
    x = codec.encode(choose_inputs(trained).read(options.inputs)[:1])
    assert model.net is not None
    maps = feature_maps(model.net, x, options.layers)
    if not maps:
        raise UsageError(
            f"{type(model.net).__name__} has no convolution whose maps could be drawn: see what decided by "
            f"{format_command('predict')} CKPT INPUT --explain, or set --layers to names of other layers"
        )
    figure = plot_feature_maps(
        maps,
        num_maps=options.num_maps,
        image=codec.denormalise(x)[0].permute(1, 2, 0) if isinstance(codec, Denormalises) else None,
        ticks=codec.ticks(x[0]) if isinstance(codec, NamesPositions) else None,
    )
    write_png(figure.pixels(), output)
    for name, value in maps.items():
        print(f"{name}: {tuple(value.shape[1:])}")
    print(f"written: {output}")


def embed(options: argparse.Namespace) -> None:
    """Write the embedding of each input as a row of a table: `file` or `input`, then `e0`, `e1` and so on.

    Raises:
        UsageError: the arguments are invalid.
        DataError: an input could not be read; raised after all rows are written.
    """
    if options.batch_size < 1:
        raise UsageError(f"expected --batch_size of at least 1, received {options.batch_size}")
    output = options.output or Path("embeddings.csv")
    check_output(output, overwrite=options.overwrite, suffixes=(".csv", ".parquet"))
    from lightfit.scripts.inference.embeddings import embed_inputs, write_table
    from lightfit.scripts.inference.inputs import choose_inputs
    from lightfit.scripts.inference.trained import load_trained

    hush()
    trained = load_trained(options.checkpoint, options.trust)
    inputs = choose_inputs(trained).stream(options.inputs)
    table = embed_inputs(trained, inputs, batch_size=options.batch_size)
    write_table(table, output)
    problems = table["error"][table["error"] != ""].tolist()
    width = sum(name.startswith("e") and name[1:].isdecimal() for name in table.columns)
    print(f"{len(table)} rows of {width} numbers in {output}")
    if problems:
        raise DataError(
            f"{len(problems)} of {len(table)} inputs could not be read, see the column error; the first: {problems[0]}"
        )


if __name__ == "__main__":
    postpone()
    sys.exit(main())
