"""Output files are written completely or not at all."""

import errno
from pathlib import Path

import pytest

from lightfit.errors import UsageError
from lightfit.scripts.cli.outputs import check_output, output_file


def test_an_unfinished_file_is_removed() -> None:
    Path("a.csv").write_text("before")
    with pytest.raises(RuntimeError, match="stop"), output_file(Path("a.csv")) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError("stop")
    assert [path.name for path in Path().iterdir()] == ["a.csv"]
    assert Path("a.csv").read_text() == "before"
    with output_file(Path("a.csv")) as temporary:
        temporary.write_text("after")
    assert Path("a.csv").read_text() == "after"


def test_a_full_disk_is_named() -> None:
    problem = "the disk is full: 'a.csv' was not written, and no partial file is left"
    with pytest.raises(OSError, match=problem), output_file(Path("a.csv")) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(Path().iterdir())


def test_names_that_cannot_be_written() -> None:
    Path("a.csv").touch()
    Path("folder.csv").mkdir()
    for path, problem in (
        ("a.csv", "'a.csv' already exists: choose another name, or replace it with --overwrite"),
        ("folder.csv", "'folder.csv' is a folder"),
        ("a.txt", "--output to end in .csv, received 'a.txt'"),
        ("no/a.csv", "no folder '.*no' to write 'a.csv' into"),
    ):
        with pytest.raises(UsageError, match=problem):
            check_output(Path(path), overwrite=False, suffixes=(".csv",))
    check_output(Path("a.csv"), overwrite=True, suffixes=(".csv",))
