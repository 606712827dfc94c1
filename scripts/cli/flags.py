"""Flags shared by several commands."""

import argparse


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add `--trust`, for commands that build the classes named by a checkpoint."""
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="your own package or module whose classes the checkpoint may build; repeat for several",
    )
