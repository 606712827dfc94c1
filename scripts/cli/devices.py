"""`--gpus` with the syntax of Lightning 1.x, and capabilities of the device."""

import importlib.util
import os
import re
import shutil

import torch

from lightfit.errors import UsageError

Devices = int | str | list[int]
BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")  # instruction sets of Intel and AMD, of Intel, of ARM


def parse_gpus(gpus: str, num_visible: int) -> tuple[str, Devices]:
    """Return the accelerator and devices of a Trainer.

    Args:
        gpus: `auto` for what is available; `0` for the CPU; `N` for that many GPUs; `-1` for all GPUs; `0,1`, `[0,1]`
            or `1,` for those ids.
        num_visible: number of GPUs that are visible.

    Raises:
        UsageError: the value is not one of these, or asks for a GPU that is not visible.
    """
    value = gpus.replace(" ", "")
    if value == "auto":
        return "auto", "auto"
    if value == "0":
        return "cpu", 1
    if re.fullmatch(r"-1|\d+", value):
        wanted = max(int(value), 1)
        _check_visible(gpus, wanted, num_visible)
        return "gpu", int(value)
    ids = [int(item) for item in re.findall(r"\d+", value)]
    if not re.fullmatch(r"\d+(,\d+)*,?|\[\d+(,\d+)*,?\]", value) or len(set(ids)) < len(ids):
        raise UsageError(
            f"--gpus {gpus} is not understood: expected auto, 0 (the CPU), N (that many GPUs), -1 (all GPUs), or "
            "distinct ids such as 0,1 or 1,"
        )
    _check_visible(gpus, max(ids) + 1, num_visible)
    return "gpu", ids


def has_bfloat16(accelerator: str) -> bool:
    """Return whether the device computes in bfloat16 natively; emulated, it is slower than float32.

    Args:
        accelerator: the Trainer's, such as `auto` or `cpu`.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return accelerator not in ("auto", "cpu") or any(torch.cpu.get_capabilities().get(name) for name in BFLOAT16)


def check_compiler(device_type: str) -> None:
    """Check that torch.compile finds its compiler.

    Args:
        device_type: where the net runs, such as `cpu` or `cuda`.

    Raises:
        UsageError: there is none; the message says what to install.
    """
    cpp = next((name for name in (os.environ.get("CXX", ""), "g++", "clang++") if name and shutil.which(name)), None)
    if cpp is None:
        raise UsageError(
            "--compile needs a C++ compiler, and neither g++ nor clang++ was found: install one (apt install g++; "
            "xcode-select --install), set the environment variable CXX, or leave --compile out"
        )
    if device_type == "cuda" and importlib.util.find_spec("triton") is None:
        raise UsageError("--compile needs triton on a GPU: pip install triton, or leave --compile out")


def _check_visible(gpus: str, wanted: int, num_visible: int) -> None:
    if wanted > num_visible:
        visible = f"{num_visible} GPU{'s are' if num_visible > 1 else ' is'}" if num_visible else "no GPU is"
        raise UsageError(
            f"--gpus {gpus} asks for a GPU that is not available: {visible} visible. "
            f"Use --gpus {f'{num_visible} for all of them' if num_visible else '0 for the CPU'}, or leave --gpus out "
            "to use what is available"
        )
