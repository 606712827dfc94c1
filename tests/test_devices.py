"""`--gpus` speaks Lightning 1.x."""

from typing import Any

import pytest

from scripts.devices import accelerator_and_devices
from scripts.errors import UsageError


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ("auto", ("auto", "auto")),
        ("0", ("cpu", 1)),
        ("2", ("gpu", 2)),
        ("-1", ("gpu", -1)),
        ("0,1", ("gpu", [0, 1])),
        ("[0, 3]", ("gpu", [0, 3])),
        ("1,", ("gpu", [1])),
    ],
)
def test_values(gpus: str, expected: tuple[str, Any]) -> None:
    assert accelerator_and_devices(gpus, 4) == expected


@pytest.mark.parametrize(
    ("gpus", "num_visible", "problem"),
    [
        ("1", 0, "no GPU is visible. Use --gpus 0 for the CPU"),
        ("-1", 0, "no GPU is visible"),
        ("4", 2, "2 GPUs are visible. Use --gpus 2 for all of them"),
        ("0,2", 1, "1 GPU is visible. Use --gpus 1 for all of them"),
        ("two", 2, "--gpus two is not understood: expected auto, 0"),
        ("0,0", 2, "distinct ids"),
        ("-2", 2, "not understood"),
        ("[0", 2, "not understood"),
    ],
)
def test_what_cannot_be_had(gpus: str, num_visible: int, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        accelerator_and_devices(gpus, num_visible)
