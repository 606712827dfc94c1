"""`--gpus` with the syntax of Lightning 1.x, and capabilities of the device."""

import importlib.util
import os
import shutil

import torch

from lightfit import devices
from lightfit.devices import Devices
from lightfit.errors import UsageError

BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")  # instruction sets of Intel and AMD, of Intel, of ARM


def parse_gpus(gpus: str, num_visible: int) -> tuple[str, Devices]:
    """Return the accelerator and devices of a Trainer for `--gpus`, as `lightfit.devices.parse_gpus` does.

    Raises:
        UsageError: the value is not understood, or asks for a GPU that is not visible.
    """
    return devices.parse_gpus(gpus, num_visible, name="--gpus")


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
