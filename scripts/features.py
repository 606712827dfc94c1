"""Draw the feature maps of a sample: `python scripts/features.py CKPT IMAGE -o maps.png`."""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: custom classes come from the working directory, LightFit's from this clone
    sys.path[:1] = [str(Path.cwd()), str(Path(__file__).resolve().parents[1])]

from lightfit.errors import UsageError
from lightfit.scripts.cli.command import program
from lightfit.scripts.cli.exit_codes import exit_code
from lightfit.scripts.cli.flags import add_trust
from lightfit.scripts.cli.postponed import postpone
from lightfit.scripts.cli.quiet import hush


def main(args: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        program("features"),
        description="Draw the feature maps of a sample, from a checkpoint alone.",
        allow_abbrev=False,
    )
    parser.add_argument("checkpoint", help="a .ckpt file of a run")
    parser.add_argument("input", help="an image, or a text for a text model")
    parser.add_argument("-o", "--output", type=Path, default=Path("maps.png"), help="output file (default: maps.png)")
    parser.add_argument("--layers", nargs="+", help="names of layers, or patterns of names (default: all convolutions)")
    parser.add_argument("--num_maps", type=int, default=4, help="number of maps for each layer (default: 4)")
    add_trust(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors")
    options = parser.parse_args(args)
    return exit_code(lambda: draw(options), debug=options.debug)


def draw(options: argparse.Namespace) -> None:
    """Draw the feature maps and write the picture.

    Raises:
        UsageError: the arguments are invalid.
    """
    if options.num_maps < 1:
        raise UsageError(f"expected --num_maps of at least 1, received {options.num_maps}")
    if options.output.suffix.lower() != ".png":
        raise UsageError(f"expected --output to end in .png, received '{options.output}'")
    if not options.output.absolute().parent.is_dir():
        raise UsageError(f"no folder '{options.output.absolute().parent}' to write {options.output.name} into")
    # Torch and Lightning are imported after all that needs neither.
    from lightfit.callbacks import feature_maps, plot_feature_maps
    from lightfit.callbacks.pictures.plots import write_png
    from lightfit.callbacks.pictures.protocols import Denormalises, NamesPositions
    from lightfit.scripts.inference.inputs import choose_inputs
    from lightfit.scripts.inference.trained import load_trained

    hush()
    trained = load_trained(options.checkpoint, options.trust)
    codec, model = trained.codec, trained.model
    x = codec.encode(choose_inputs(trained).read([options.input])[:1])
    assert model.net is not None
    maps = feature_maps(model.net, x, options.layers)
    if not maps:
        raise UsageError(f"{type(model.net).__name__} has no convolution: set --layers to names of other layers")
    figure = plot_feature_maps(
        maps,
        num_maps=options.num_maps,
        image=codec.denormalise(x)[0].permute(1, 2, 0) if isinstance(codec, Denormalises) else None,
        ticks=codec.ticks(x[0]) if isinstance(codec, NamesPositions) else None,
    )
    write_png(figure.pixels(), options.output)
    for name, value in maps.items():
        print(f"{name}: {tuple(value.shape[1:])}")
    print(f"written: {options.output}")


if __name__ == "__main__":
    postpone()
    sys.exit(main())
