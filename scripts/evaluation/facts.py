"""How an evaluation came about: data, checkpoint, versions and date."""

import platform
from datetime import datetime
from importlib.metadata import version

from lightfit.download import sha256_of
from lightfit.version import VERSION

from ..inference.trained import Trained
from .data import ChosenSplit

PACKAGES = ("torch", "pytorch-lightning", "torchmetrics", "numpy", "pandas")


def list_facts(trained: Trained, chosen: ChosenSplit, num_samples: int) -> dict[str, str]:
    """Return the data, checkpoint, versions and date of an evaluation, by name.

    Args:
        trained: the checkpoint.
        chosen: the data.
        num_samples: number of samples that were evaluated.
    """
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return {
        "data": chosen.source,
        "split": f"{chosen.title}, {num_samples:,} samples",
        "checkpoint": f"{trained.path}, sha256 {sha256_of(trained.path)}",
        "trained by": f"LightFit {trained.version}",
        "evaluated by": f"LightFit {VERSION}, Python {platform.python_version()}, {packages}",
        "date": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
    }
