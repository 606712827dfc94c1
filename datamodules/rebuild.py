"""A DataModule and its hyper-parameters in a checkpoint."""

import json
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from lightfit.errors import CheckpointError
from lightfit.trust import build, check_trusted, only_trusted, own_module

Module = TypeVar("Module")


def rebuild(
    cls: type[Module], checkpoint: Mapping[str, Any], trust: Collection[str], changes: Mapping[str, Any] = {}
) -> Module:
    """Build the DataModule of a checkpoint, with all it learned from its training data, but no data.

    Args:
        cls: the class that is expected, or a parent of it.
        checkpoint: what is in the file.
        trust: packages whose classes may be built, beside the known ones and that of `cls`.
        changes: arguments in the place of the checkpoint's, such as another source.

    Raises:
        UntrustedNameError: it names a class or function that is not known and not trusted.
        CheckpointError: the checkpoint does not say which, as one of another project or of a model that was trained in
            Python, or it names a class that cannot be built here.
    """
    hparams = dict(checkpoint.get("datamodule_hyper_parameters", {}))
    if "_class_path" not in hparams:
        raise CheckpointError(
            "the checkpoint does not say how its data was encoded: expected one that scripts/fit.py wrote, not one of "
            "another project or of a model trained in Python, which predicts there: Model.load(path, net=the_net)"
        )
    trust = (*trust, *own_module(cls))
    check_trusted(hparams, trust)
    path = str(hparams["_class_path"])
    arguments = {name: value for name, value in hparams.items() if not name.startswith("_")}
    try:
        with only_trusted(trust):
            module = build(path, {**arguments, **changes})
    except CheckpointError:
        raise
    except Exception as error:  # a class of another project, or of another version, fails in any way
        if changes:
            raise
        raise CheckpointError(
            f"the checkpoint's data is of {path}, which cannot be built here: expected a class of this version of "
            f"LightFit, or one that can be imported. The cause: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(module, cls):
        raise CheckpointError(f"expected a checkpoint of {cls.__name__}, received one of {type(module).__name__}")
    state = checkpoint.get(type(module).__qualname__)
    if state is None:
        raise CheckpointError(
            f"the checkpoint lacks what {type(module).__name__} learned from its data: it is incomplete"
        )
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
