"""LightningCLI and its parser, of the Lightning namespace in use; imports jsonargparse, which nothing else needs."""

import importlib
from typing import TYPE_CHECKING, Any

from lightfit.lightning import pl

if TYPE_CHECKING:
    from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
else:
    cli = importlib.import_module(f"{pl.__name__}.cli")
    LightningArgumentParser, LightningCLI = cli.LightningArgumentParser, cli.LightningCLI
    SaveConfigCallback = cli.SaveConfigCallback

__all__ = ["FunctionParser", "LightningArgumentParser", "LightningCLI", "SaveConfigCallback"]


class FunctionParser(LightningArgumentParser):
    """A parser that takes functions too where a class is expected, with arguments that links set."""

    def add_function_arguments(self, *args: Any, linked_targets: Any = None, **kwargs: Any) -> list[str]:
        """Add the arguments of a function; jsonargparse itself then makes linked ones optional."""
        return super().add_function_arguments(*args, **kwargs)
