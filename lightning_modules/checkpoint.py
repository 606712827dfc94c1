"""Reading a checkpoint file: tensors and plain data, never pickled code."""

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from lightning_modules.version import FORMAT, VERSION

WRITTEN_BY = {"version": VERSION, "format": FORMAT}  # what LightModel puts into its checkpoints
PLAIN = (bool, int, float, str, type(None))


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The contents of a Lightning checkpoint, on the CPU.

    Loaded with `weights_only=True`: a file that would run code on loading is refused and runs nothing.

    Raises:
        FileNotFoundError: there is no such file; checkpoints in the same folder are named.
        ValueError: the file is truncated, holds pickled code, is no Lightning checkpoint, or one of a version of
            LightFit that writes them otherwise.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at '{path}'; {_checkpoints_in(path.parent)}")
    checkpoint = _load(path)
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        held = sorted(map(str, checkpoint))[:5] if isinstance(checkpoint, dict) else type(checkpoint).__name__
        raise ValueError(
            f"'{path}' is no Lightning checkpoint: expected a dict with 'state_dict' and 'hyper_parameters', "
            f"received {held}. Weights alone are loaded by net.load_state_dict"
        )
    written = checkpoint.get("lightfit", WRITTEN_BY)  # absent in one of another project
    if written["format"] != FORMAT:
        raise ValueError(
            f"'{path}' was written by LightFit {written['version']} (checkpoints of format {written['format']}), and "
            f"this is LightFit {VERSION}, which reads those of format {FORMAT}: use that version, or train again"
        )
    return checkpoint


def _load(path: Path) -> Any:
    try:
        _check_sums(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the protocol of a pickle that is refused right after
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"'{path}' cannot be loaded: it is no checkpoint, or it holds pickled code, which is never run. "
            "Expected a file that LightFit or Lightning wrote, with tensors and plain data alone"
        ) from error
    except Exception as error:  # bytes that are no checkpoint make the unpickler fail in any way
        raise ValueError(
            f"'{path}' cannot be read as a checkpoint: the file is truncated or damaged ({path.stat().st_size} bytes). "
            "Take another one from its folder (last.ckpt, best-*.ckpt) or copy it again"
        ) from error


def _check_sums(path: Path) -> None:
    """Compares every part of the file with the checksum that torch has put beside it, which torch does not look at."""
    if zipfile.is_zipfile(path):  # as torch has written them since release 1.6
        with zipfile.ZipFile(path) as file:
            if (damaged := file.testzip()) is not None:
                raise zipfile.BadZipFile(f"another checksum in {damaged}")


def _checkpoints_in(folder: Path) -> str:
    found = sorted(str(file) for file in folder.glob("*.ckpt")) if folder.is_dir() else []
    nowhere = f"in '{folder}' there is none: training writes runs/<task>/version_N/checkpoints"
    return f"there are: {', '.join(found)}" if found else nowhere


def is_plain(value: Any) -> bool:
    """Whether a value is made of None, bool, int, float, str and lists, tuples and dicts of them."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    return type(value) in PLAIN
