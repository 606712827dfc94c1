"""What `gpus` means: the syntax of Lightning 1.x, for the command and for `Trainer`."""

import re
from collections.abc import Sequence

from lightfit.errors import UsageError

Devices = int | str | list[int]


def parse_gpus(gpus: int | str | Sequence[int], num_visible: int, *, name: str = "`gpus`") -> tuple[str, Devices]:
    """Return the accelerator and devices of a Trainer.

    Args:
        gpus: `auto` for what is available; 0 for the CPU; N for that many GPUs; -1 for all GPUs; `[0, 1]`, `"0,1"`,
            `"[0,1]"` or `"1,"` for those ids.
        num_visible: number of GPUs that are visible.
        name: how messages call the argument.

    Raises:
        UsageError: the value is not one of these, or asks for a GPU that is not visible.
    """
    value = _write(gpus)
    if value == "auto":
        return "auto", "auto"
    if value == "0":
        return "cpu", 1
    if re.fullmatch(r"-1|\d+", value):
        _check_visible(gpus, max(int(value), 1), num_visible, name)
        return "gpu", int(value)
    ids = [int(item) for item in re.findall(r"\d+", value)]
    if not re.fullmatch(r"\d+(,\d+)*,?|\[\d+(,\d+)*,?\]", value) or len(set(ids)) < len(ids):
        raise UsageError(
            f"{name} {gpus} is not understood: expected auto, 0 (the CPU), N (that many GPUs), -1 (all GPUs), or "
            "distinct ids such as 0,1 or 1,"
        )
    _check_visible(gpus, max(ids) + 1, num_visible, name)
    return "gpu", ids


def _write(gpus: int | str | Sequence[int]) -> str:
    """Write a value as on the command line."""
    if not isinstance(gpus, str) and isinstance(gpus, Sequence):
        return f"[{','.join(map(str, gpus))}]"
    return str(gpus).replace(" ", "")


def _check_visible(gpus: int | str | Sequence[int], wanted: int, num_visible: int, name: str) -> None:
    if wanted > num_visible:
        visible = f"{num_visible} GPU{'s are' if num_visible > 1 else ' is'}" if num_visible else "no GPU is"
        raise UsageError(
            f"{name} {gpus} asks for a GPU that is not available: {visible} visible. "
            f"Use {name} {f'{num_visible} for all of them' if num_visible else '0 for the CPU'}, or leave {name} out "
            "to use what is available"
        )
