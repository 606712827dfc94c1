"""A net's weights in a file: a plain state dict, with metadata."""

import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lightfit.files import whole_file

NAME = "{epoch:03d}_{val_accuracy:.4f}"  # the cookbook's "%03d_%.4f"


def save_weights(net: nn.Module, path: str | Path, **metadata: float) -> Path:
    """Write the state dict, on the CPU, under the final name only when it is whole and on the disk.

    Args:
        net: the net.
        path: the file; `.safetensors` for that format, anything else for torch's (`.ckpt`).
        metadata: what the cookbook keeps, `epoch`, `lr` and `val_accuracy`, or other values.

    Returns:
        The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    with whole_file(path, durable=True) as partial:
        if path.suffix == ".safetensors":
            # Tensors that share memory are written once each: this format knows no shared ones.
            copies = {key: value.clone() for key, value in state.items()}
            save_file(copies, partial, metadata={key: json.dumps(value) for key, value in metadata.items()})
        else:
            torch.save({"state_dict": state, **metadata}, partial)
    return path


def load_weights(net: nn.Module, path: str | Path) -> dict[str, Any]:
    """Load a file of `save_weights` into the same net; return the metadata.

    For another head, renamed keys or some of the keys: `load_pretrained`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds no weights, or those of another net.
    """
    state, metadata = read_weights(path)
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"'{path}' does not fit {type(net).__name__}: {error}") from error
    return metadata


def save_best_weights(
    net: nn.Module,
    folder: str | Path,
    *,
    epoch: int,
    lr: float,
    val_accuracy: float,
    keep: int = 3,
    suffix: str = ".ckpt",
) -> Path | None:
    """Write `<epoch>_<val_accuracy>` into a folder if it is among the best, then delete the worst beyond `keep`.

    A file is deleted only when the new one is complete, so that there is always a good one.

    Args:
        net: the net.
        folder: where the files are; those of other names are left alone.
        epoch: index of the epoch.
        lr: learning rate, for the record.
        val_accuracy: the score to compare, higher is better.
        keep: number of files to keep.
        suffix: `.ckpt` or `.safetensors`.

    Returns:
        The file's path, or None if it was not among the best.
    """
    folder = Path(folder)
    name = NAME.format(epoch=epoch, val_accuracy=val_accuracy) + suffix
    files = sorted(folder.glob(f"*{suffix}")) if folder.is_dir() else []
    scores = {file: float(match[1]) for file in files if (match := re.fullmatch(r"\d{3,}_(-?\d+\.\d{4})", file.stem))}
    scores.pop(folder / name, None)
    if sum(score >= round(val_accuracy, 4) for score in scores.values()) >= keep:
        return None
    path = save_weights(net, folder / name, epoch=epoch, lr=lr, val_accuracy=val_accuracy)
    for file in sorted(scores, key=scores.__getitem__, reverse=True)[keep - 1 :]:
        file.unlink()
    return path


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a state dict and its metadata, from torch's format or safetensors; no code is run.

    Takes a plain state dict, one under `state_dict` or `model`, and a checkpoint of Lightning.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at '{path}' (looked from '{Path.cwd()}')")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no weights make the unpickler fail in any way
        code = isinstance(error, pickle.UnpicklingError)
        raise ValueError(
            f"'{path}' cannot be read as weights: "
            + ("it holds pickled code, such as a whole model, which is never run" if code else "it is damaged")
            + ". Expected a state dict: torch.save(net.state_dict(), path)"
        ) from error
    if isinstance(held, Mapping):
        state = next((held[key] for key in ("state_dict", "model") if isinstance(held.get(key), Mapping)), held)
        if state and all(isinstance(value, Tensor) for value in state.values()):
            return dict(state), {k: v for k, v in held.items() if isinstance(v, (bool, int, float, str))}
    raise ValueError(f"'{path}' holds no state dict: expected tensors by name, received {_held(held)}")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dict)
            return state, {key: _plain(value) for key, value in (file.metadata() or {}).items()}
    except SafetensorError as error:
        raise ValueError(f"'{path}' is no safetensors file, or is damaged: {error}") from error


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:  # the metadata of another program
        return text


def _held(held: Any) -> str:
    return f"a dict of {sorted(map(str, held))[:5]}" if isinstance(held, Mapping) else type(held).__name__
