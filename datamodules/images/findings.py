"""What was found in images: sizes, aspect ratios, formats, brightness, and examples of each class."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lightfit.errors import DataError

from ..findings import Findings
from ..splits import SPLITS
from .image_set import ImageSet
from .transforms import fit_to_size

KINDS_SHOWN = 5
DARK, BRIGHT = 0.02, 0.98  # mean brightness of images that show nothing
STRETCHED = 3.0  # aspect ratio from which a centre crop leaves out most of an image
CLASSES_SHOWN, IMAGES_SHOWN, SIDE = 24, 5, 96  # of the examples
BINS = 16


def find_in_images(found: ImageSet, used: Mapping[str, NDArray[np.int64]]) -> Findings:
    """Return facts about the images of all splits, warnings, and tables of sizes and brightness.

    Args:
        found: the images.
        used: indices of the images of each split that is not empty.
    """
    rows = np.concatenate([used[split] for split in SPLITS if split in used])
    height, width = found.sizes[rows].T
    ratio = width / height
    facts = {"sizes": _describe_sizes(found.sizes[rows]), "aspect ratios": _describe_range(ratio)}
    tables, warnings = {"shorter sides": _bin(np.minimum(height, width), "pixels")}, []
    if len(found.kinds):
        counts = Counter(found.kinds[row] for row in rows.tolist())
        more = [f"and {len(counts) - KINDS_SHOWN:,} more"] if len(counts) > KINDS_SHOWN else []
        shown = [f"{kind} ({count:,})" for kind, count in counts.most_common(KINDS_SHOWN)]
        facts["formats"] = "; ".join(shown + more)
    if found.brightness is not None:
        brightness = found.brightness[rows]
        facts["brightness"] = f"{_describe_range(brightness)}, from 0 (black) to 1 (white)"
        tables["brightness"] = _bin(brightness, "brightness")
        warnings += [
            f"{len(own):,} images are all but {colour}, such as {found.places[rows[own[0]]]}: look at them, and leave "
            "out what shows nothing"
            for colour, own in (
                ("black", np.flatnonzero(brightness < DARK)),
                ("white", np.flatnonzero(brightness > BRIGHT)),
            )
            if len(own)
        ]
    long = np.flatnonzero(np.maximum(ratio, 1 / ratio) >= STRETCHED)
    if 2 * len(long) > len(rows):
        warnings.append(
            f"{len(long):,} of {len(rows):,} images are at least {STRETCHED:g} times as long as wide, such as "
            f"{found.places[rows[long[0]]]}, and a centre crop never sees their ends; `transforms.resize` pad or "
            "squish shows all of them"
        )
    return Findings(facts, [*found.warnings, *warnings], tables)


def choose_examples(
    found: ImageSet, rows: NDArray[np.int64], labels: NDArray[np.int64], names: Sequence[str]
) -> dict[str, list[NDArray[np.uint8]]]:
    """Return a few small images (h, w, 3) uint8 of each of the first classes, spread over its images.

    Args:
        found: the images.
        rows: indices of the images to choose from.
        labels: class of each image of the set, (N,).
        names: names of the classes.
    """
    examples = {}
    for index, name in enumerate(names[:CLASSES_SHOWN]):
        own = rows[labels[rows] == index]
        spread = own[np.unique(np.linspace(0, len(own) - 1, IMAGES_SHOWN).astype(int))] if len(own) else own
        examples[name] = list(_shrink(found, spread.tolist()))
    return examples


def _shrink(found: ImageSet, rows: Iterable[int]) -> Iterable[NDArray[np.uint8]]:
    for row in rows:
        try:
            loaded = found.images.load(row)
            image = fit_to_size(loaded.pixels, (SIDE, SIDE), border=1.0, full_size=loaded.full_size)
        except DataError:  # too narrow to show
            continue
        colours = image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1)
        yield torch.as_tensor(colours).permute(1, 2, 0).contiguous().numpy()


def _describe_sizes(sizes: NDArray[np.int64]) -> str:
    (low_h, low_w), (high_h, high_w) = sizes.min(0).tolist(), sizes.max(0).tolist()
    if (low_h, low_w) == (high_h, high_w):
        return f"all {low_w:,} x {low_h:,} pixels"
    height, width = np.median(sizes, 0).astype(int).tolist()
    return f"{low_w:,} x {low_h:,} to {high_w:,} x {high_h:,} pixels, median {width:,} x {height:,}"


def _describe_range(values: NDArray[np.floating]) -> str:
    low, middle, high = np.quantile(values, [0, 0.5, 1]).tolist()
    return f"all {low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}, median {middle:.2f}"


def _bin(values: NDArray[np.generic], name: str) -> pd.DataFrame:
    counts, edges = np.histogram(values, min(BINS, len(np.unique(values))))
    return pd.DataFrame({f"{name} from": [f"{edge:.4g}" for edge in edges[:-1]], "images": counts})
