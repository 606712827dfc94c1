"""What an argument is: decided by what exists, not by how it looks."""

import glob
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import IO, Any, Literal

from lightfit.datamodules.tables.content import is_hidden
from lightfit.errors import UsageError, clip, clip_list

STDIN = "-"
Kind = Literal["stdin", "folder", "file", "nothing"]
# Endings by which a name that is none of a file is more likely mistyped than meant as a text.
ENDINGS = (
    *(".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather", ".log", ".md"),
    *(".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".doc", ".docx", ".odt", ".rtf", ".pdf", ".ppt", ".pptx"),
    *(".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif", ".svg", ".dcm"),
    *(".gz", ".zip", ".zst", ".bz2", ".xz", ".7z", ".tar", ".tgz", ".npy", ".npz", ".pkl", ".h5", ".db", ".sqlite"),
    *(".html", ".xml", ".yaml", ".yml", ".ckpt", ".onnx"),
)
LONGEST = 255  # characters in the name of a file
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def find_kind(item: str) -> Kind:
    """Return what an argument is: standard input, a folder or file that exists, or nothing that does.

    Raises:
        UsageError: it is a pipe or a device, which cannot be read twice.
    """
    if item == STDIN:
        return "stdin"
    if not item:
        return "nothing"
    try:
        mode = os.stat(item).st_mode
    except (OSError, ValueError):  # also what is too long for a name, or holds a NUL byte
        return "nothing"
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    raise UsageError(
        f"'{item}' is a pipe or a device, which cannot be read twice: pipe it into standard input and give {STDIN}, "
        "or write a file first"
    )


def check_once(arguments: Sequence[str]) -> None:
    """Check that standard input is read at most once.

    Raises:
        UsageError: it is asked for several times.
    """
    if (times := arguments.count(STDIN)) > 1:
        raise UsageError(f"{STDIN} stands for standard input, which can be read once: received it {times} times")


def open_stdin(encoding: str | None) -> IO[str]:
    """Return standard input as lines in an encoding, by default the terminal's; what is not of it is a surrogate."""
    stdin: Any = sys.stdin
    if hasattr(stdin, "reconfigure"):
        stdin.reconfigure(encoding=encoding or stdin.encoding, errors="surrogateescape")
    return stdin


def tell_left_out(folder: Path, read: Iterable[Path]) -> None:
    """Print how many files of a folder are not read, by kind.

    Args:
        folder: the folder.
        read: the files that are read.
    """
    known = set(read)
    kinds: Counter[str] = Counter()
    for file in folder.rglob("*"):
        if file not in known and file.is_file():
            hidden = is_hidden(file.relative_to(folder).as_posix())
            kinds["hidden" if hidden else file.suffix.lower() or "without an ending"] += 1
    if kinds:
        which = clip_list(f"{number} {kind}" for kind, number in kinds.most_common())
        print(f"'{folder}': {kinds.total()} files are left out ({which})", file=sys.stderr)


def explain_missing(item: str, what: str = "file") -> str:
    """Return what is wrong with an argument that names nothing: what the shell left as it was, or the name alone.

    Args:
        item: the argument.
        what: what is expected there.
    """
    if not item:
        return f"an argument is empty: expected the name of {_with_article(what)} (is a variable of the shell empty?)"
    if item.startswith("file:"):
        return f"'{clip(item)}' is a URL: write the path, '{_path_of_url(item)}'"
    if _URL.fullmatch(item):
        return f"'{clip(item)}' is a URL, and nothing is downloaded: download it, and write its path"
    if item.startswith("~"):
        return f"'{clip(item)}': the shell did not put your home folder for ~: write '{os.path.expanduser(item)}'"
    if _has_pattern(item):
        found = glob.glob(item, recursive=True)
        which = f"matches {len(found)} names here, but the shell left it as it is" if found else "matches nothing here"
        leave = "leave out the quotes, or " if found else ""
        return f"the pattern '{clip(item)}' {which}: {leave}name the files or their folder (looked from '{Path.cwd()}')"
    if _is_link(item):
        return f"'{clip(item)}' is a link to what is not there: correct the link"
    return f"no {what} at '{clip(item, LONGEST)}' (looked from '{Path.cwd()}')"


def looks_like_file(item: str, endings: Collection[str] = ENDINGS) -> bool:
    """Return whether what names nothing looks like a mistyped or missing file, rather than like a text.

    It has the ending of one, or is a word that begins as a path does, or whose folder exists.

    Args:
        item: the argument.
        endings: endings of files.
    """
    if not item or len(item) > 4 * LONGEST or "\n" in item or "\0" in item:
        return False
    if len(os.path.basename(item)) <= LONGEST and os.path.splitext(item)[1].lower() in endings:
        return True
    if _is_link(item):
        return True
    if re.search(r"\s", item):
        return False
    if item.startswith(("./", "../", "/", "~/", "file:", ".\\", "..\\")) or _DRIVE.match(item):
        return len(item) > 2
    # `and/or` is a text, unless there is a folder `and`.
    folder = os.path.dirname(item)
    return bool(folder) and not _URL.fullmatch(item) and os.path.isdir(folder)


def _path_of_url(item: str) -> str:
    path = re.sub("^file:(//[^/]*)?", "", item)
    return re.sub(
        "(%[0-9A-Fa-f]{2})+", lambda found: bytes.fromhex(found[0].replace("%", "")).decode("utf-8", "replace"), path
    )


def _with_article(what: str) -> str:
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"


def _has_pattern(item: str) -> bool:
    return len(item) <= 4 * LONGEST and "\0" not in item and glob.has_magic(item)


def _is_link(item: str) -> bool:
    try:
        return os.path.lexists(item) and not os.path.exists(item)
    except (OSError, ValueError):
        return False
