"""Flags that several commands have."""

import argparse


def add_trust(parser: argparse.ArgumentParser) -> None:
    """`--trust`, of commands that build what a checkpoint names."""
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="a package or module of your own whose classes the checkpoint may build; once for each",
    )
