"""LightningCLI and its parser, of the Lightning namespace in use; imports jsonargparse, which nothing else needs."""

import importlib
from typing import TYPE_CHECKING

from lightfit.lightning import pl

if TYPE_CHECKING:
    from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
else:
    cli = importlib.import_module(f"{pl.__name__}.cli")
    LightningArgumentParser, LightningCLI = cli.LightningArgumentParser, cli.LightningCLI
    SaveConfigCallback = cli.SaveConfigCallback

__all__ = ["LightningArgumentParser", "LightningCLI", "SaveConfigCallback"]
