"""Reading a checkpoint file: tensors and plain data, never pickled code; and building no more than its weights fill."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from lightfit.errors import CheckpointError
from lightfit.version import FORMAT, FORMATS, VERSION

WRITTEN_BY = {"version": VERSION, "format": FORMAT}  # what LightModel puts into its checkpoints
HPARAMS = ("hyper_parameters", "datamodule_hyper_parameters")
RENAMED = {  # since 0.2, longest first
    "lightning_modules.nets": "lightfit.nets",
    "lightning_modules": "lightfit",
    "datamodules.vocabulary": "lightfit.datamodules.text",
    "datamodules": "lightfit",
}
PLAIN = (bool, int, float, str, type(None))


def read_checkpoint(path: str | Path, *, mmap: bool = False) -> dict[str, Any]:
    """Read the contents of a Lightning checkpoint, on the CPU.

    Loaded with `weights_only=True`: a file that would run code on loading is refused and runs nothing.

    Args:
        path: the file.
        mmap: whether tensors stay in the file until they are used, for a process that copies the weights and needs no
            more; nobody may write to the file for as long, but it may be replaced.

    Raises:
        FileNotFoundError: there is no such file; checkpoints in the same folder are named.
        CheckpointError: the file is truncated, holds pickled code, is no Lightning checkpoint, or one of a version of
            LightFit that writes them otherwise.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at '{path}'; {_checkpoints_in(path.parent)}")
    checkpoint = _load(path, mmap=mmap)
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        held = sorted(map(str, checkpoint))[:5] if isinstance(checkpoint, dict) else type(checkpoint).__name__
        raise CheckpointError(
            f"'{path}' is no Lightning checkpoint: expected a dict with 'state_dict' and 'hyper_parameters', "
            f"received {held}. Weights alone are loaded by net.load_state_dict"
        )
    written = checkpoint.get("lightfit", WRITTEN_BY)  # absent in one of another project
    plain = (written, *(checkpoint.get(key, {}) for key in HPARAMS))
    if not isinstance(checkpoint["state_dict"], dict) or not all(isinstance(held, dict) for held in plain):
        raise CheckpointError(
            f"'{path}' is damaged or forged: expected dicts under 'state_dict', 'lightfit' and {' and '.join(HPARAMS)}"
        )
    if written.get("format") not in FORMATS:
        raise CheckpointError(
            f"'{path}' was written by LightFit {written.get('version')} (checkpoints of format "
            f"{written.get('format')}), and this is LightFit {VERSION}, which reads formats "
            f"{' and '.join(map(str, FORMATS))}: use that version, or train again"
        )
    if str(written.get("version")).startswith("0.1."):
        for key in HPARAMS:
            if key in checkpoint:
                checkpoint[key] = _with_new_names(checkpoint[key])
    return checkpoint


def copy_tensors(held: Any) -> Any:
    """Return plain data with copies of its tensors, which need the file no more."""
    return tree_map_only(Tensor, Tensor.clone, held)


def _with_new_names(config: Any) -> Any:
    """Rename the classes in hyper-parameters of LightFit 0.1, whose packages lay beside each other."""
    renamed = dict(config)
    for key, value in config.items():
        if isinstance(value, dict):
            renamed[key] = _with_new_names(value)
        elif key in ("class_path", "_class_path", "tokenizer") and isinstance(value, str):
            for old, new in RENAMED.items():
                value = re.sub(rf"^{re.escape(old)}\.(?=\w+$)", f"{new}.", value)
            renamed[key] = value
    return renamed


def _load(path: Path, *, mmap: bool) -> Any:
    try:
        _check_sums(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the protocol of a pickle that is refused right after
            # Files of the format before torch 1.6 cannot be mapped.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap and zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"'{path}' cannot be loaded: it is no checkpoint, or it holds pickled code, which is never run. "
            "Expected a file that LightFit or Lightning wrote, with tensors and plain data alone"
        ) from error
    except Exception as error:  # bytes that are no checkpoint make the unpickler fail in any way
        raise CheckpointError(
            f"'{path}' cannot be read as a checkpoint: the file is truncated or damaged ({path.stat().st_size} bytes). "
            "Take another one from its folder (last.ckpt, best-*.ckpt) or copy it again"
        ) from error


def _check_sums(path: Path) -> None:
    """Compare every entry of the file with the checksum that torch wrote and does not check itself."""
    if zipfile.is_zipfile(path):  # as torch has written them since release 1.6
        with zipfile.ZipFile(path) as file:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in file.infolist()):
                raise zipfile.BadZipFile("its entries are compressed, which torch never does")
            if (damaged := file.testzip()) is not None:
                raise zipfile.BadZipFile(f"another checksum in {damaged}")


def _checkpoints_in(folder: Path) -> str:
    found = sorted(str(file) for file in folder.glob("*.ckpt")) if folder.is_dir() else []
    nowhere = f"in '{folder}' there is none: training writes runs/<task>/version_N/checkpoints"
    return f"there are: {', '.join(found)}" if found else nowhere


ROOM_BYTES, ROOM_FACTOR = 2**28, 8  # what building may allocate: so much, and so many times the weights in the file
ROOM_MODULES, MODULES_A_TENSOR = 10_000, 20  # and how many modules: so many, and so many for each of its tensors
Built = TypeVar("Built", bound=nn.Module)


class _Room(TorchDispatchMode):
    """Counts what is allocated and registered on the meta device, and raises where that becomes too much."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.held = sum(tensor.untyped_storage().nbytes() for tensor in state.values() if isinstance(tensor, Tensor))
        self.bytes_left = ROOM_BYTES + ROOM_FACTOR * self.held
        self.modules_left = ROOM_MODULES + MODULES_A_TENSOR * len(state)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if not any(result.alias_info for result in func._schema.returns):  # neither a view nor in place
            self.bytes_left -= sum(t.numel() * t.element_size() for t in tree_leaves(made) if isinstance(t, Tensor))
            self._check()
        return made

    def registered(self, module: nn.Module, name: str, submodule: nn.Module | None) -> None:
        self.modules_left -= 1
        self._check()

    def _check(self) -> None:
        if min(self.bytes_left, self.modules_left) < 0:
            raise CheckpointError(
                f"the checkpoint describes a net that is far larger than the weights in it ({self.held / 1e6:.1f} MB): "
                "it is damaged or forged, and nothing was built"
            )


def check_size(make: Callable[[], nn.Module], state: Mapping[str, Tensor]) -> None:
    """Check that a module has the size of the weights in a checkpoint, before it takes any memory.

    It is made on the meta device, where tensors have a shape and no memory.

    Args:
        make: makes the module.
        state: the checkpoint's `state_dict`.

    Raises:
        CheckpointError: it is larger by far, or one of its tensors has another shape than in the checkpoint.
    """
    room = _Room(state)
    handle = register_module_module_registration_hook(room.registered)
    try:
        with torch.device("meta"), room:
            module = make()
    finally:
        handle.remove()
    for name, tensor in module.state_dict().items():
        if not isinstance(tensor, nn.UninitializedParameter) and name in state and tensor.shape != state[name].shape:
            raise CheckpointError(
                f"the checkpoint's weights do not fit: '{name}' has the shape {tuple(state[name].shape)} in the file, "
                f"and {tuple(tensor.shape)} in the net that it describes"
            )


def is_plain(value: Any) -> bool:
    """Return whether a value consists of None, bool, int, float, str and lists, tuples and dicts of them."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    return type(value) in PLAIN
