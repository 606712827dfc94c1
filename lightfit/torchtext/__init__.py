"""The classes of torchtext 0.6 (`Field`, `TabularDataset`, `BucketIterator`, `Vocab`, ...) on any torch.

torchtext moved them to `torchtext.legacy` in 0.9, removed them in 0.12, and 0.6 is not maintained. These are written
anew: programs run with only the import changed (`from lightfit import torchtext`), and tokens, word ids, padding and
the order of batches are those of torchtext 0.6.0. See docs/how_to/from_torchtext.md.
"""

from typing import Any

from . import data, utils, vocab

__all__ = ["data", "utils", "vocab"]

ELSEWHERE = {
    "datasets": "download the files, and read them with `data.TabularDataset` or `lightfit.TextDataModule`",
    "experimental": "use `lightfit.TextDataModule`",
}


def __getattr__(name: str) -> Any:
    if name in ELSEWHERE:
        raise AttributeError(f"lightfit.torchtext has no `{name}`: {ELSEWHERE[name]}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
