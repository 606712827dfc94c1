"""A DataModule and its hyper-parameters in a checkpoint."""

import importlib
import json
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from datamodules.namespace import pl
from datamodules.trust import check_trusted

Module = TypeVar("Module")


def rebuild(cls: type[Module], base: type, checkpoint: Mapping[str, Any], trust: Collection[str]) -> Module:
    """The DataModule of a checkpoint that is read, with all it learned from its training data, but no data.

    Args:
        cls: the class that is expected, or a parent of it.
        base: the parent of all DataModules that a class path may name.
        checkpoint: what is in the file.
        trust: packages whose classes may be built, beside the known ones and that of `cls`.

    Raises:
        ValueError: the checkpoint does not say which, as one of another project or of a model that was trained in
            Python, or it names a class that cannot be built here, or one of a package that is not trusted.
    """
    hparams = dict(checkpoint.get("datamodule_hyper_parameters", {}))
    if "_class_path" not in hparams:
        raise ValueError(
            "the checkpoint does not say how its data was encoded: expected one that scripts/fit.py wrote, not one of "
            "another project or of a model trained in Python, which predicts there: Model.load(path, net=the_net)"
        )
    check_trusted(hparams, (*trust, cls.__module__))
    hparams.pop("_instantiator", None)
    cli = importlib.import_module(f"{pl.__name__}.cli")  # with jsonargparse, which nothing else here needs
    try:
        module = cli.instantiate_module(base, hparams)
    except Exception as error:  # a class of another project, or of another version, fails in any way
        raise ValueError(
            f"the checkpoint's data is of {hparams['_class_path']}, which cannot be built here: expected a class of "
            f"this version of LightFit, or one that can be imported. The cause: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(module, cls):
        raise ValueError(f"expected a checkpoint of {cls.__name__}, received one of {type(module).__name__}")
    state = checkpoint.get(type(module).__qualname__)
    if state is None:
        raise ValueError(f"the checkpoint lacks what {type(module).__name__} learned from its data: it is incomplete")
    module.load_state_dict(state)  # type: ignore[attr-defined]
    return module


def keep_plain(module: Any) -> None:
    """Drops the hyper-parameters that are no plain data: a checkpoint holds nothing else."""
    for hparams in (module._hparams, module._hparams_initial):
        for name in list(hparams):
            try:
                json.dumps(hparams[name])
            except TypeError:
                del hparams[name]
