"""What a checkpoint holds, ready for use: all that is done after training begins here."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from lightfit.checkpoint import read_checkpoint
from lightfit.datamodules import DataModule
from lightfit.lightning_modules import LightModel
from lightfit.version import VERSION


class Trained(NamedTuple):
    """A model with what is known of its data."""

    path: Path
    checkpoint: dict[str, Any]
    data: DataModule
    model: LightModel
    trust: tuple[str, ...] = ()  # packages that the user trusts

    @property
    def version(self) -> str:
        """The LightFit that wrote the checkpoint."""
        return str(self.checkpoint.get("lightfit", {}).get("version", "unknown"))

    @property
    def configuration(self) -> dict[str, Any]:
        """What the model and its data were built from, as plain data."""
        held = {"model": "hyper_parameters", "data": "datamodule_hyper_parameters"}
        return {
            name: {arg.lstrip("_"): value for arg, value in self.checkpoint[key].items() if arg != "_instantiator"}
            for name, key in held.items()
        }


def load_trained(path: str | Path, trust: Collection[str] = ()) -> Trained:
    """The model and the data of a checkpoint, the model on the CPU in evaluation mode.

    Args:
        path: the file.
        trust: packages of one's own whose classes it may name.

    Raises:
        FileNotFoundError, ValueError: as `read_checkpoint`, `DataModule.from_checkpoint` and
            `LightModel.from_checkpoint`; the version is named where the checkpoint is of another one.
    """
    checkpoint = read_checkpoint(path)
    try:
        data, model = (
            DataModule.from_checkpoint(checkpoint, trust=trust),
            LightModel.from_checkpoint(checkpoint, trust=trust),
        )
    except ValueError as error:
        written = checkpoint.get("lightfit", {}).get("version", VERSION)
        other = f". The checkpoint was written by LightFit {written}, and this is {VERSION}"
        raise ValueError(f"{error}{other if written != VERSION else ''}") from error
    return Trained(Path(path), checkpoint, data, model, tuple(trust))
