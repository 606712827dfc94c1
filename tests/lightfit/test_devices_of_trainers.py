"""`gpus` in Python: the values that Lightning 1.x took."""

from collections.abc import Sequence
from typing import Any

import pytest

from lightfit.devices import parse_gpus
from lightfit.errors import UsageError


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        (0, ("cpu", 1)),
        (2, ("gpu", 2)),
        (-1, ("gpu", -1)),
        ([0, 1], ("gpu", [0, 1])),
        ((3,), ("gpu", [3])),
        ("0, 1", ("gpu", [0, 1])),
        ("auto", ("auto", "auto")),
    ],
)
def test_values(gpus: int | str | Sequence[int], expected: tuple[str, Any]) -> None:
    assert parse_gpus(gpus, 4) == expected


@pytest.mark.parametrize(
    ("gpus", "problem"),
    [
        (1, "`gpus` 1 asks for a GPU that is not available: no GPU is visible. Use `gpus` 0 for the CPU"),
        ([0], r"`gpus` \[0\] asks for a GPU that is not available"),
        ([], r"`gpus` \[\] is not understood: expected auto, 0 \(the CPU\)"),
        (True, "`gpus` True is not understood"),
        (-2, "`gpus` -2 is not understood"),
        (1.5, "`gpus` 1.5 is not understood"),
    ],
)
def test_errors_name_the_argument(gpus: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        parse_gpus(gpus, 0)
