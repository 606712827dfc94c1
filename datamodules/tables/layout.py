"""Folders and archives of texts: a table or shards for each split, or a folder for each label with a file a text."""

import mimetypes
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from lightfit.errors import DataError, clip_list
from lightfit.files import list_below

from ..split_names import find_split
from .content import COMPRESSIONS, Content, is_hidden, list_members
from .reader import SUFFIXES

SHARD = re.compile(r"[-_.]\d{2,}[-_]of[-_]\d{2,}([-_.][0-9a-f]{8,})?$")  # train-00000-of-00002, as of Hugging Face
NUMBER = re.compile(r"\d+$")
UNLABELLED = "unsup"  # folder of aclImdb with texts without a label
EXPECTED = (
    "expected a table for each split, such as train.csv and test.csv in any format, or a folder for each label with a "
    "file for each text, <split>/<label>/* or <label>/*"
)


class Layout(NamedTuple):
    """What the files of a folder are.

    Args:
        tables: the tables of each split, in order; empty where the texts are in files of their own.
        texts: the label and the file of each text of each split, in order.
        ignored: names of all other files.
    """

    tables: dict[str, list[Content]]
    texts: dict[str, list[tuple[str, Content]]]
    ignored: list[str]


def find_layout(path: Path, archive: Content | None = None) -> Layout:
    """Find out what the files below a folder, or in an archive, are.

    Args:
        path: the folder.
        archive: a zip archive instead of it.

    Raises:
        FileNotFoundError: it holds nothing that is read.
        DataError: it holds two tables for the same split, or several tables that are no splits.
    """
    files = _list_archive(archive) if archive else _list_folder(path)
    layout = _find_tables(files, str(path)) or _find_texts(files)
    if layout is None:
        layout = _find_only_table(files, str(path)) or _find_texts(files, labels_only=True)
    if layout is None:
        raise FileNotFoundError(f"'{path}' holds no texts that are read: {EXPECTED}; it holds: {_list_top(files)}")
    return layout


def _list_folder(path: Path) -> dict[str, Content]:
    found = {}
    for inside in sorted(list_below(path).files, key=lambda name: (name.split("/")[:-1], name)):
        if not is_hidden(inside):
            file = path / inside
            found[inside] = Content(str(file), lambda file=file: file.open("rb"), file)  # type: ignore[misc]
    return found


def _list_archive(archive: Content) -> dict[str, Content]:
    return {item.name.removeprefix(f"{archive.name}/"): item for item in list_members(archive)}


def _split_name(name: str) -> tuple[str, str]:
    """Return a file's name without its endings, and its ending without that of a compression."""
    path = PurePosixPath(name)
    while path.suffix.lower() in COMPRESSIONS:
        path = path.with_suffix("")
    return path.stem, path.suffix.lower()


def _find_tables(files: dict[str, Content], place: str) -> Layout | None:
    """Return the tables of splits, by their names or by those of their folders; None where there is none for train."""
    found: defaultdict[str, defaultdict[str, defaultdict[str, list[str]]]]
    found = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for name in files:
        stem, suffix = _split_name(name)
        parent = PurePosixPath(name).parent
        plain = SHARD.sub("", stem)
        if (suffix in SUFFIXES or not suffix) and (split := find_split(plain)):
            found[str(parent)][split][f"{plain}{suffix}"].append(name)
        elif suffix in SUFFIXES and suffix != ".txt" and (split := find_split(parent.name)):
            found[str(parent.parent)][split][f"{parent.name}/*{suffix}"].append(name)
    with_train = {parent: splits for parent, splits in found.items() if "train" in splits}
    if not with_train:
        return None
    if len(with_train) > 1:
        raise DataError(
            f"'{place}' holds tables for train in several folders ({clip_list(with_train)}): set `source` to one of "
            "them"
        )
    [splits] = with_train.values()
    for split, names in splits.items():
        if len(names) > 1:
            first = [own[0] for own in names.values()]
            raise DataError(
                f"'{place}' holds {len(names)} tables for {split} ({clip_list(first)}); expected one: delete or rename "
                "the others"
            )
    tables = {split: [files[name] for own in names.values() for name in own] for split, names in splits.items()}
    used = {content.name for own in tables.values() for content in own}
    return Layout(tables, {}, [name for name, content in files.items() if content.name not in used])


def _find_only_table(files: dict[str, Content], place: str) -> Layout | None:
    """Return the only table, or the shards of one, as train."""
    names = [name for name in files if "/" not in name and _split_name(name)[1] in SUFFIXES]
    names = [name for name in names if _split_name(name)[0].lower() not in ("readme", "license", "dataset_infos")]
    if not names:
        return None
    if len({(NUMBER.sub("", SHARD.sub("", _split_name(name)[0])), _split_name(name)[1]) for name in names}) > 1:
        raise DataError(
            f"'{place}' holds {len(names)} tables ({clip_list(names)}) of which none is named train: rename them to "
            "train, val and test, or set `source` to one of them"
        )
    return Layout({"train": [files[name] for name in names]}, {}, [name for name in files if name not in names])


def _find_texts(files: dict[str, Content], *, labels_only: bool = False) -> Layout | None:
    """Return the texts of `<split>/<label>/*`, or of `<label>/*` if `labels_only`; None if there is no train."""
    top = {name.partition("/")[0] for name in files if "/" in name}
    prefix = ""
    if len(top) == 1 and all("/" in name for name in files) and not find_split(next(iter(top))):
        prefix = f"{next(iter(top))}/"  # archives often have one folder around all
    texts: defaultdict[str, list[tuple[str, Content]]] = defaultdict(list)
    ignored, folders = [], defaultdict(set)
    for name, content in files.items():
        folder, *below = name.removeprefix(prefix).split("/")
        split = "train" if labels_only else find_split(folder)
        label, *rest = [folder, *below] if labels_only else [*below, ""]
        rest = rest if labels_only else rest[:-1]
        if split and rest and label != UNLABELLED and _is_text(name):
            folders[split].add(folder)
            texts[split].append((label, content))
        elif UNLABELLED not in name.split("/"):
            ignored.append(name)
    if "train" not in texts or (labels_only and len(folders["train"]) < 2):
        return None
    for split, own in folders.items():
        if len(own) > 1 and not labels_only:
            raise DataError(f"the folders {clip_list(sorted(own))} are all {split}; expected one: delete the others")
    return Layout({}, dict(texts), ignored)


def _is_text(name: str) -> bool:
    kind = mimetypes.guess_type(name)[0] or "text"
    return kind.startswith(("text", "message")) and not name.lower().endswith(COMPRESSIONS)


def _list_top(files: dict[str, Content]) -> str:
    top = {name.partition("/")[0]: None for name in files}
    return clip_list(top) or "nothing"
