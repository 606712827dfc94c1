"""Which classes a checkpoint may have built.

A checkpoint names classes by their path, and to import a module runs its code: a file from elsewhere must not choose
it. lightning_modules and datamodules both have this file, because no room imports another.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

KNOWN = frozenset(
    {"lightning_modules", "datamodules", "callbacks", "torch", "torchvision", "torchmetrics", "pytorch_lightning"}
    | {"lightning"}
)
BUILDERS = ("pytorch_lightning.cli.instantiate_module", "lightning.pytorch.cli.instantiate_module")


def unknown_packages(hparams: Any, trust: Collection[str] = ()) -> list[str]:
    """The packages of classes that hyper-parameters name, but for those that are known or trusted; sorted.

    Args:
        hparams: plain data, as in a checkpoint.
        trust: packages or modules of one's own.
    """
    named = set(_class_paths(hparams))
    own = tuple(f"{package}." for package in trust)
    return sorted(
        {path.split(".")[0] for path in named if path.split(".")[0] not in KNOWN and not path.startswith(own)}
    )


def check_trusted(hparams: Mapping[str, Any], trust: Collection[str] = ()) -> None:
    """Nothing, where all classes are of known packages or trusted ones.

    Raises:
        ValueError: one is of another, or they are to be built by another function than Lightning's.
    """
    builder = hparams.get("_instantiator", BUILDERS[0])
    if builder not in BUILDERS:
        raise ValueError(
            f"the checkpoint has its classes built by '{builder}', which is not Lightning's: nothing was run"
        )
    if unknown := unknown_packages(hparams, trust):
        names = ", ".join(f"'{name}'" for name in unknown)
        flags = " ".join(f"--trust {name}" for name in unknown)
        raise ValueError(
            f"the checkpoint names classes of {names}, and to build them would run that code: nothing was run. If it "
            f"is yours, add {flags} (in Python: trust={tuple(unknown)!r})"
        )


def _class_paths(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("class_path", "_class_path") and isinstance(item, str):
                yield item
            else:
                yield from _class_paths(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _class_paths(item)
