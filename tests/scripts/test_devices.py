"""`--gpus` has the syntax of Lightning 1.x."""

from typing import Any

import pytest
import torch

from lightfit.errors import UsageError
from lightfit.scripts.cli.devices import has_bfloat16, parse_gpus


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
    assert parse_gpus(gpus, 4) == expected


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
def test_unavailable_devices(gpus: str, num_visible: int, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        parse_gpus(gpus, num_visible)


@pytest.mark.parametrize(
    ("capabilities", "expected"), [({"avx2": True}, False), ({"avx512_bf16": True}, True), ({"bf16": True}, True)]
)
def test_bfloat16_of_processors(capabilities: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert has_bfloat16("auto") == has_bfloat16("cpu") == expected


@pytest.mark.parametrize("emulated", [True, False])
def test_bfloat16_of_gpus(emulated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or not emulated
    )
    assert has_bfloat16("gpu") != emulated
