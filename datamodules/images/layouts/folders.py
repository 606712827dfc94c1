"""Images in class folders, or with their labels in their names."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lightfit.errors import DataError, UsageError, clip, clip_list

from ...split_names import AFFIXES, find_split, find_splits
from ...splits import SPLITS
from .files import Browsable, find_images
from .listing import HIDDEN, Ignored, Listing
from .options import AUTOMATIC, ImageOptions

LAYOUT = "expected <split>/<class>/*.jpg with the splits train and perhaps val and test, or <class>/*.jpg"
OTHERWISE = (
    "if the names of the files hold the labels, set `label_from` to a regular expression; if a table does, set `root` "
    "to it"
)
NO_FORMAT, OUTSIDE = "not an image format", "outside of the splits and classes"
NO_FOLDERS = "has no class folders"  # after the name of a split
MANY = 0.1  # fraction of the images
NAMES_SHOWN = 3


@dataclass
class Sorted:
    """The files of a source.

    Args:
        images: names of the images.
        folders: names of the folders, without those that are hidden.
        others: all other files.
        ignored: hidden files, and folders that were not entered.
    """

    images: list[str]
    folders: list[str]
    others: list[str]
    ignored: list[Ignored]


def sort_files(files: Browsable) -> Sorted:
    """Tell the images of a source from its other files."""
    visible, folders, hidden = list[str](), list[str](), list[str]()
    for name in files.names():
        if is_hidden(name):
            if not name.endswith("/"):
                hidden.append(name)
        elif name.endswith("/"):
            folders.append(_clean(name))
        else:
            visible.append(name)
    images = find_images(files, visible)
    known = set(images)
    others = [name for name in visible if name not in known]
    return Sorted(images, folders, others, [*files.left_out(), *(Ignored(name, HIDDEN) for name in hidden)])


def list_images(
    files: Browsable, place: str, options: ImageOptions = AUTOMATIC, sorted_files: Sorted | None = None
) -> Listing:
    """List the images of `<split>/<class>/**`, or of `<class>/**`, which are all train; enter folders around them.

    Args:
        files: files of a folder or archive.
        place: name of the folder or archive, for messages.
        options: where the labels are; the columns of tables are not used.
        sorted_files: return value of `sort_files`, if it has been called before.

    Raises:
        DataError: there are no images in this layout, or a class has no image.
    """
    own = sort_files(files) if sorted_files is None else sorted_files
    tree = Tree(own.images, own.folders)
    layout = find_layout(tree, place, options)
    found = _label_by_name(layout, own, place, options) if options.label_from else None
    found = found or _label_by_folder(layout, own, tree, place, options)
    ignored = [*own.ignored, *(Ignored(name, NO_FORMAT) for name in own.others), *found.ignored]
    return Listing(
        files=files,
        names=found.names,
        places=found.names,
        labels=found.labels,
        splits=np.array([SPLITS.index(split) for split in found.splits], np.int64),
        ignored=sorted(ignored),
        skipped=found.skipped,
        found=[*layout.found, *found.found],
        warnings=[*layout.warnings, *found.warnings],
    )


def is_hidden(name: str) -> bool:
    """Return whether a file is hidden, or one of the system's own."""
    if not name.startswith((".", "__MACOSX", "/")) and "/." not in name and "/__MACOSX" not in name:
        return name == ""
    items = _split_path(name)
    return not items or any(item.startswith(".") or item == "__MACOSX" for item in items)


def _split_path(name: str) -> list[str]:
    return [item for item in name.split("/") if item not in ("", ".")]  # PurePosixPath takes ten times as long


def _clean(name: str) -> str:
    return "/".join(_split_path(name))


class Tree:
    """The folders of a source, and the images in them; the root is an empty string.

    Args:
        images: names of the images.
        folders: names of the folders.
    """

    def __init__(self, images: Sequence[str], folders: Iterable[str] = ()) -> None:
        self.direct = Counter(_clean(name.rpartition("/")[0]) for name in images)
        self.with_images: defaultdict[str, list[str]] = defaultdict(list)
        self.folders: defaultdict[str, list[str]] = defaultdict(list)
        self._fill(self.with_images, self.direct)
        self._fill(self.folders, {*self.direct, *folders})

    def _fill(self, children: defaultdict[str, list[str]], folders: Iterable[str]) -> None:
        seen = {""}
        for folder in sorted(folders):
            parts = folder.split("/")
            for end in range(1, len(parts) + 1):
                path = "/".join(parts[:end])
                if path not in seen:
                    seen.add(path)
                    children["/".join(parts[: end - 1])].append(parts[end - 1])


def join(folder: str, name: str) -> str:
    """Return the path of a folder or file within a folder, the root being an empty string."""
    return f"{folder}/{name}" if folder else name


@dataclass
class Layout:
    """Where the splits of a source are.

    Args:
        top: the folder in which the splits or classes are.
        splits: the folder of each split; that of the classes where there are no splits.
        has_splits: whether there are folders of splits.
        found: what was found out, a line for each matter.
        warnings: what may not be meant.
    """

    top: str
    splits: dict[str, str]
    has_splits: bool
    found: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def find_layout(tree: Tree, place: str, options: ImageOptions = AUTOMATIC) -> Layout:
    """Find the folders of the splits.

    Args:
        tree: the folders.
        place: name of the source, for messages.
        options: whether labels are in the names of the images.

    Raises:
        DataError: several folders are the same split, or a folder may be a split or a class.
    """
    top = find_top(tree)
    layout = Layout(top, {"train": top}, has_splits=False)
    if top:
        layout.found.append(f"the images are in the folder '{top}'")
    splits = find_splits(tree.folders[top])
    others = [name for name in tree.with_images[top] if not find_split(name)]
    if "train" in splits:
        if not options.label_from and _is_class_among_others(tree, top, splits, others):
            name = splits["train"][0]
            layout.warnings.append(
                f"the folder '{name}' is read as a class, as it holds images and no folders, beside the classes "
                f"{clip_list(others)}; if it is the split train, move it out of '{place}' with its images in class "
                "folders"
            )
            return layout
        for split, names in splits.items():
            if len(names) > 1:
                raise DataError(
                    f"the folders {', '.join(names)} of '{place}' are all {split}; expected one: delete the others"
                )
        layout.has_splits = True
        layout.splits = {split: _enter_split(tree, join(top, names[0]), split) for split, names in splits.items()}
        _enter_all(tree, layout)
        _say_splits(layout)
        return layout
    if any(name in tree.with_images[top] for names in splits.values() for name in names):
        _check_split_names(tree, top, splits, others, place, options)
    return layout


def find_top(tree: Tree) -> str:
    """Return the folder in which the splits or classes are: below the folders that lie around all images."""
    top = ""
    while len(tree.with_images[top]) == 1 and not tree.direct[top]:
        name = tree.with_images[top][0]
        below = join(top, name)
        named = [item for item in tree.folders[top] if find_split(item)]
        if named and not (named == [name] and _holds_splits(tree, below)):
            break
        if tree.direct[below] and not tree.with_images[below]:
            break  # a class
        top = below
    return top


def _holds_splits(tree: Tree, folder: str) -> bool:
    """Return whether all folders with images in a folder are splits, train and another one."""
    splits = {find_split(name) for name in tree.with_images[folder]}
    return None not in splits and "train" in splits and len(splits) > 1 and not tree.direct[folder]


def _is_class_among_others(tree: Tree, top: str, splits: dict[str, list[str]], others: list[str]) -> bool:
    """Return whether a folder named train holds images as all other folders do, such as the vehicle beside bus."""
    if len(splits) > 1 or len(splits["train"]) > 1:
        return False
    named = [splits["train"][0], *others]
    return len(named) > 2 and all(
        tree.direct[join(top, name)] and not tree.with_images[join(top, name)] for name in named
    )


def _enter_split(tree: Tree, folder: str, split: str) -> str:
    """Return the folder of a split's classes: `<split>/<split>` where the split is in a folder of the same name."""
    while len(tree.with_images[folder]) == 1 and not tree.direct[folder]:
        name = tree.with_images[folder][0]
        below = join(folder, name)
        if find_split(name) != split:
            break
        folder = below
    return folder


def _enter_all(tree: Tree, layout: Layout) -> None:
    """Enter a folder around the classes, if all splits have it and its name is the same, such as `train/images`."""
    filled = {
        split: folder for split, folder in layout.splits.items() if tree.with_images[folder] or tree.direct[folder]
    }
    while filled:
        names = {tuple(tree.with_images[folder]) for folder in filled.values()}
        [*only] = names
        if len(only) != 1 or len(only[0]) != 1 or any(tree.direct[folder] for folder in filled.values()):
            return
        below = {split: join(folder, only[0][0]) for split, folder in filled.items()}
        if any(tree.direct[folder] for folder in below.values()):
            return
        layout.splits |= below
        filled = below


def _say_splits(layout: Layout) -> None:
    start = f"{layout.top}/" if layout.top else ""
    folders = {split: folder.removeprefix(start) for split, folder in layout.splits.items()}
    if any(split != folder for split, folder in folders.items()):
        said = ", ".join(f"{split} in '{folder}'" for split, folder in folders.items())
        layout.found.append(f"splits by folders: {said}")


def _check_split_names(
    tree: Tree, top: str, splits: dict[str, list[str]], others: list[str], place: str, options: ImageOptions
) -> None:
    """Refuse folders named val or test where there is none for train, unless they are to be classes.

    Raises:
        DataError: they may be splits.
    """
    names = [name for own in splits.values() for name in own]
    flat = all(tree.direct[join(top, name)] and not tree.with_images[join(top, name)] for name in names)
    if options.label_from or (flat and options.class_level is not None):
        return
    tops = sorted(tree.folders[top])
    if not others:
        raise DataError(f"'{place}' has no images to train on: {LAYOUT}; it holds: {', '.join(tops[:8])}")
    raise DataError(
        f"'{place}' has no images to train on: the name of the folder {clip_list(names)} is that of a split, and those "
        f"beside it, {clip_list(others)}, are in none; {LAYOUT}. Move these into a folder train"
        + (f", or, if {clip_list(names)} is a class, set `class_level` to 1" if flat else "")
    )


@dataclass
class Labelled:
    """The images that have a label, and what was left out."""

    names: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def _divide(layout: Layout, images: Sequence[str]) -> tuple[dict[str, list[tuple[str, str]]], list[Ignored]]:
    """Return each split's images, with their paths below the split's folder, and those that are in none."""
    by_split: dict[str, list[tuple[str, str]]] = {split: [] for split in layout.splits}
    starts = [(split, f"{folder}/" if folder else "") for split, folder in layout.splits.items()]
    ignored = []
    for name in images:
        path = name if "//" not in name and not name.startswith("./") else _clean(name)
        for split, start in starts:
            if path.startswith(start):
                by_split[split].append((name, path[len(start) :]))
                break
        else:
            ignored.append(Ignored(name, OUTSIDE))
    return by_split, ignored


def _label_by_folder(layout: Layout, own: Sorted, tree: Tree, place: str, options: ImageOptions) -> Labelled:
    by_split, ignored = _divide(layout, own.images)
    out, level = Labelled(ignored=ignored), options.class_level or 1
    within = _are_splits_within(tree, layout, options)
    if within:
        out.found.append("splits by the folders within those of the classes, <class>/<split>/*.jpg")
    short = []  # images that are in no folder of the level
    flat = list[str]()  # images of train that are in no class folder
    below: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)  # folders in each class folder
    for split in SPLITS:
        images = by_split.get(split, [])
        in_folders = [(name, path.split("/")[:-1]) for name, path in images if "/" in path]
        if options.class_level is None and _is_no_class({folders[0] for _, folders in in_folders}):
            in_folders = []
        if images and not in_folders and split != "train":
            out.ignored += [Ignored(name, f"{split} {NO_FOLDERS}") for name, _ in images]
            out.warnings.append(f"{split}: left out, as its images ({len(images):,}) are in no class folders")
            continue
        kept = {name for name, _ in in_folders}
        out.ignored += [Ignored(name, OUTSIDE) for name, _ in images if name not in kept]
        if split == "train":
            flat = [name for name, _ in images if name not in kept]
        for name, folders in in_folders:
            if len(folders) < abs(level):
                short.append(name)
                continue
            label = folders[level - 1 if level > 0 else level]
            out.names.append(name)
            out.splits.append(find_split(folders[1]) or split if within else split)
            out.labels.append(label)
            below[split, label][folders[1] if len(folders) > 1 else ""] += 1
    if "train" not in out.splits and not short:
        if flat:
            many = "1 image is in none" if len(flat) == 1 else f"{len(flat):,} images are in none"
            raise DataError(
                f"'{place}' has no images to train on in class folders: {many}, such as {clip(flat[0])}; {LAYOUT}; "
                f"{OTHERWISE}"
            )
        raise DataError(
            f"'{place}' has no images to train on: {LAYOUT}; it holds: "
            f"{_describe_top(tree, own)}{_describe_packed(own)}"
        )
    if short:
        _leave_out(short, out, options, f"no folder for `class_level` {level}", place)
    if level == 1:
        _check_empty(layout, tree, place)
    if not within:
        _check_classes(layout, tree, out, place)
    if options.class_level is None and not within:
        _say_levels(below, out)
    out.warnings += _warn_of_flat(flat)
    order = np.argsort(np.array(out.names, dtype=object), kind="stable")
    for items in (out.names, out.splits, out.labels):
        items[:] = [items[index] for index in order]
    return out


def _is_no_class(names: set[str]) -> bool:
    """Return whether the only folder is called images or the like, as where a table or an annotation has the labels."""
    return len(names) == 1 and next(iter(names)).casefold() in AFFIXES


def _warn_of_flat(flat: list[str]) -> list[str]:
    if not flat:
        return []
    return [f"images of train that are in no class folder are ignored ({len(flat):,}), such as {clip(flat[0])}"]


def _describe_top(tree: Tree, own: Sorted) -> str:
    files = [_clean(name) for name in [*own.images, *own.others]]
    names = sorted({*tree.folders[""], *(name.partition("/")[0] for name in files)})
    return ", ".join(names[:8]) or "nothing"


def _describe_packed(own: Sorted) -> str:
    packed = [name for name in own.others if name.lower().endswith((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"))]
    return f". Unpack {clip_list(packed)}, or set `root` to one of them" if packed else ""


def _check_empty(layout: Layout, tree: Tree, place: str) -> None:
    """Check that no folder of a class is without images.

    Raises:
        DataError: one is.
    """
    for split in SPLITS:
        if split not in layout.splits:
            continue
        for label in sorted(tree.folders[layout.splits[split]]):
            folder = join(layout.splits[split], label)
            if not tree.direct[folder] and not tree.with_images[folder]:
                raise DataError(
                    f"the class '{label}' has no image in {split} of '{place}': add images (.jpg, .png or the like) to "
                    "its folder, or delete it"
                )


def _check_classes(layout: Layout, tree: Tree, out: Labelled, place: str) -> None:
    """Check that the classes are not splits.

    Raises:
        DataError: they are.
    """
    classes = sorted(set(out.labels))
    splits = [find_split(name) for name in classes]
    if len(classes) > 1 and None not in splits and len(set(splits)) > 1:
        raise DataError(
            f"the classes of '{place}' would be {clip_list(classes)}, which are names of splits: {LAYOUT}. Set "
            "`class_level` to the level of the folders that name the classes"
        )
    if layout.has_splits:
        return
    sets = [name for name in tree.with_images[layout.top] if _has_own_splits(tree, join(layout.top, name))]
    if len(sets) > 1:
        raise DataError(
            f"'{place}' holds {len(sets)} folders with splits of their own ({clip_list(sets)}): set `root` to one of "
            "them, or arrange the images as <split>/<class>/*.jpg"
        )


def _has_own_splits(tree: Tree, folder: str) -> bool:
    splits = {find_split(name) for name in tree.with_images[folder]}
    return "train" in splits and len(splits - {None}) > 1


def _are_splits_within(tree: Tree, layout: Layout, options: ImageOptions) -> bool:
    """Return whether each class folder holds a folder for each split: `<class>/<split>/*.jpg`."""
    if layout.has_splits or options.class_level is not None:
        return False
    folders = [join(layout.top, name) for name in tree.with_images[layout.top]]
    flat = all(not tree.with_images[join(folder, name)] for folder in folders for name in tree.with_images[folder])
    return len(folders) > 1 and flat and all(_holds_splits(tree, folder) for folder in folders)


def _say_levels(below: dict[tuple[str, str], Counter[str]], out: Labelled) -> None:
    """Say that the first level names the classes, where folders below it may do so."""
    train = {label: set(own) for (split, label), own in below.items() if split == "train"}
    folders = {name for own in train.values() for name in own if name}
    if len(folders) < 2:
        return
    shared = {name for name in folders if sum(name in own for own in train.values()) > 1}
    classes = clip_list(sorted(train))
    if len(train) > 1 and shared:
        first = [label for label, own in train.items() if own & shared][:2]
        out.warnings.append(
            f"the folders {' and '.join(map(repr, first))}, which are read as classes, hold folders of the same names, "
            f"{clip_list(sorted(shared))}: if these are the classes, set `class_level` to 2"
        )
    else:
        out.found.append(
            f"the folders of the first level are the classes ({classes}); those within them, such as "
            f"{clip_list(sorted(folders))}, are not told apart: set `class_level` to 2, or to -1 for the innermost ones"
        )


def _label_by_name(layout: Layout, own: Sorted, place: str, options: ImageOptions) -> Labelled:
    """Return the images whose names match `label_from`."""
    assert options.label_from is not None
    if options.class_level is not None:
        raise UsageError("`label_from` and `class_level` both say where the labels are: set one of them")
    by_split, ignored = _divide(layout, own.images)
    out = Labelled(ignored=ignored)
    unmatched = []
    for split in SPLITS:
        images = by_split.get(split, [])
        labels = [match_label(options.label_from, path) for _, path in images]
        if images and split != "train" and not any(labels):
            out.ignored += [Ignored(name, f"{split} has no labels") for name, _ in images]
            out.warnings.append(f"{split}: left out, as none of its images ({len(images):,}) matches `label_from`")
            continue
        for (name, _), label in zip(images, labels, strict=True):
            if label is None:
                unmatched.append(name)
            else:
                out.names.append(name)
                out.splits.append(split)
                out.labels.append(label)
    if not own.images:
        raise DataError(f"'{place}' has no images to train on{_describe_packed(own)}")
    if "train" not in out.splits:
        first = clip(next((name for name, _ in by_split["train"]), own.images[0]))
        raise DataError(
            f"none of the {len(by_split['train']):,} images of '{place}' matches `label_from` '{options.label_from}', "
            f"such as {first}: expected an expression that is found in their names"
        )
    if unmatched:
        _leave_out(unmatched, out, options, f"does not match `label_from` '{options.label_from}'", place)
    order = np.argsort(np.array(out.names, dtype=object), kind="stable")
    for items in (out.names, out.splits, out.labels):
        items[:] = [items[index] for index in order]
    out.found.append(f"labels by `label_from` '{options.label_from}': {clip_list(sorted(set(out.labels)))}")
    return out


def match_label(pattern: str, path: str) -> str | None:
    """Return the label in the path of an image: the first group of a match, or else the whole; None: no match.

    The name of the file is searched first, so that a folder does not answer for it, and then the whole path.
    """
    for searched in (path.rpartition("/")[2], path):
        if match := re.search(pattern, searched):
            label = match.group(1) if match.re.groups else match.group()
            if label:
                return label
    return None


def _leave_out(names: list[str], out: Labelled, options: ImageOptions, reason: str, place: str) -> None:
    """Skip images without a label, if that is allowed.

    Raises:
        DataError: it is not.
    """
    if options.table.on_error != "skip":
        shown = ", ".join(clip(name) for name in names[:NAMES_SHOWN])
        many = "1 image" if len(names) == 1 else f"{len(names):,} images"
        raise DataError(
            f"{many} of '{place}' {'has' if len(names) == 1 else 'have'} no label: {reason}: {shown}. Correct that, "
            "move them away, or set `on_error` to skip"
        )
    out.skipped += [f"{name}: {reason}" for name in names]


def leaves_out_many(listing: Listing) -> bool:
    """Return whether many images are in no class folder, so that the folders are no classes."""
    out = sum(item.reason.endswith((NO_FOLDERS, OUTSIDE)) for item in listing.ignored)
    return out > MANY * (len(listing.names) + out)


def without_columns(options: ImageOptions, place: str) -> ImageOptions:
    """Check that no option of tables is set, as there is no table.

    Raises:
        UsageError: one is.
    """
    for name in ("path_column", "label_column", "group_column", "image_dir"):
        if getattr(options, name) is not None:
            raise UsageError(
                f"`{name}` is for tables, and '{place}' is read by its folders: set `root` to a table, or leave it out"
            )
    return replace(options)
