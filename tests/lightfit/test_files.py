"""Files that are written whole have the permissions of any new file."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lightfit.files import whole_file
from lightfit.platforms import WINDOWS


@pytest.fixture(params=[0o022, 0o002, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    former = os.umask(request.param)
    yield request.param
    os.umask(former)


@pytest.mark.skipif(WINDOWS, reason="Windows has no umask")
def test_files_are_written_with_the_umask(umask: int) -> None:
    with whole_file(Path("a.safetensors")) as path:
        save_file({"a": torch.zeros(2)}, path)  # writes a file of its own, which nobody else may read
    with whole_file(Path("a.txt")) as path:
        path.write_text("a")
    for name in ("a.safetensors", "a.txt"):
        assert Path(name).stat().st_mode & 0o777 == 0o666 & ~umask, name


def test_what_is_not_written_is_not_there() -> None:
    with pytest.raises(FileNotFoundError), whole_file(Path("a.txt")):
        pass
    assert not list(Path().iterdir())
