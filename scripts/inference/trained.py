"""A loaded checkpoint, for evaluate, predict, export, serve and features."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from lightfit.checkpoint import HPARAMS, copy_tensors, read_checkpoint
from lightfit.datamodules import Codec, load_codec
from lightfit.datamodules.base import find_codec
from lightfit.errors import UsageError
from lightfit.lightning_modules import LightModel
from lightfit.lightning_modules.views import MirroredViews
from lightfit.trust import check_trusted
from lightfit.version import VERSION


class Trained(NamedTuple):
    """A checkpoint with its model and codec."""

    path: Path
    checkpoint: dict[str, Any]
    model: LightModel
    codec: Codec
    trust: tuple[str, ...] = ()  # packages that the user trusts

    @property
    def version(self) -> str:
        """Return the version of LightFit that wrote the checkpoint."""
        return str(self.checkpoint.get("lightfit", {}).get("version", "unknown"))

    @property
    def data_arguments(self) -> dict[str, Any]:
        """Return the arguments of the DataModule, as plain data."""
        return dict(self.checkpoint.get("datamodule_hyper_parameters", {}))

    @property
    def configuration(self) -> dict[str, Any]:
        """Return the configuration of the model and its DataModule, as plain data."""
        held = {"model": self.checkpoint.get("hyper_parameters", {}), "data": self.data_arguments}
        return {
            name: {argument.lstrip("_"): value for argument, value in values.items() if argument != "_instantiator"}
            for name, values in held.items()
        }


def load_trained(path: str | Path, trust: Collection[str] = ()) -> Trained:
    """Load the model and the codec of a checkpoint, on the CPU and in evaluation mode.

    Args:
        path: the checkpoint file.
        trust: packages whose classes the checkpoint may name, beside the known ones.

    Raises:
        FileNotFoundError, ValueError: as `read_checkpoint`, `load_codec` and `LightModel.from_checkpoint`; the message
            names the version of LightFit if the checkpoint is of another one.
    """
    return _build(path, read_checkpoint(path), trust)


def load_served(path: str | Path, trust: Collection[str] = ()) -> Trained:
    """Load a checkpoint for predictions alone, as `load_trained`: memory holds its weights once, and no tensors else.

    So the optimizer's state is never read; of the checkpoint's contents its configuration and version are left.
    """
    checkpoint = read_checkpoint(path, mmap=True)
    for key in set(checkpoint) - {"state_dict", "optimizer_states"}:  # the codec and the model keep tensors of these
        checkpoint[key] = copy_tensors(checkpoint[key])
    trained = _build(path, checkpoint, trust)
    held = {key: trained.checkpoint[key] for key in ("lightfit", *HPARAMS) if key in trained.checkpoint}
    return trained._replace(checkpoint=held)


def _build(path: str | Path, checkpoint: dict[str, Any], trust: Collection[str]) -> Trained:
    try:
        named = {"codec": {"class_path": (find_codec(checkpoint) or {}).get("class_path")}}
        for key in HPARAMS:
            named[key] = checkpoint.get(key, {})
        check_trusted(named, trust)  # all names in one message
        codec = load_codec(checkpoint, trust)
        model = LightModel.from_checkpoint(checkpoint, trust=trust)
    except ValueError as error:
        written = checkpoint.get("lightfit", {}).get("version", VERSION)
        other = f". The checkpoint was written by LightFit {written}, and this is {VERSION}"
        raise ValueError(f"{error}{other if written != VERSION else ''}") from error
    return Trained(Path(path), checkpoint, model, codec, tuple(trust))


def add_mirrored_views(trained: Trained) -> None:
    """Let a model predict by the mean over each image and its mirror image.

    Raises:
        UsageError: the samples are no images.
    """
    if trained.codec.domain != "images" or trained.model.net is None:
        raise UsageError(
            f"--tta is for images, and this checkpoint reads {trained.codec.domain}: leave it out, or set it for a "
            "model of images"
        )
    trained.model.net = MirroredViews(trained.model.net)
