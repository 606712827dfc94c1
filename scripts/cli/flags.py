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


def add_tta(parser: argparse.ArgumentParser) -> None:
    """Add `--tta`, for commands that predict images."""
    parser.add_argument(
        "--tta", action="store_true", help="predict images by the mean over each and its mirror image; twice the time"
    )
