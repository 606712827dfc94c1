"""The one place that imports what a file names.

To import a module runs its code, and to call a class or a function runs more of it: a checkpoint from elsewhere must
choose neither. While one is being built (`only_trusted`), `import_name` imports only the names below, and what is
defined in packages that the user trusts. Presets are code of the user, and import what they like.
"""

import dataclasses
import enum
import importlib
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

from lightfit.errors import UntrustedNameError

MOST_VALUES = 100_000  # in hyper-parameters: lists within lists can be written briefly and be endless to walk


class Family(NamedTuple):
    """Names that checkpoints may have: those of a library's modules whose objects are of a kind.

    Args:
        modules: the library's modules, and those below them that importing these loads.
        kinds: a class, by its name, that a named class has to be a subclass of.
        within: beginnings of the modules that the objects are defined in; those of `modules` if empty.
    """

    modules: tuple[str, ...]
    kinds: tuple[str, ...]
    within: tuple[str, ...] = ()


PURE_METRICS = ("classification", "regression", "aggregation", "retrieval", "nominal")
MODELS = ("torchvision.models",)
FAMILIES = (
    Family(("torch.nn",), ("torch.nn.Module",)),
    Family(
        ("torch.optim", "torch.optim.lr_scheduler"), ("torch.optim.Optimizer", "torch.optim.lr_scheduler.LRScheduler")
    ),
    # Torch's schedule with the name of what it watches, as LightningCLI has it.
    Family(("pytorch_lightning.cli", "lightning.pytorch.cli"), ("torch.optim.lr_scheduler.ReduceLROnPlateau",)),
    # Of torchmetrics those that compute with tensors alone: others download models, or load them by a name.
    Family(
        ("torchmetrics",),
        ("torchmetrics.Metric",),
        tuple(f"torchmetrics.{kind}" for kind in PURE_METRICS),
    ),
    Family(MODELS, ("torch.nn.Module",)),
    Family(("torchvision.transforms", "torchvision.transforms.v2"), ("torch.nn.Module",), ("torchvision.transforms",)),
)
OWN = ("lightfit",)  # our package: classes of these kinds in the modules below, the tokenizers, and builders of nets
OWN_MODULES = ("lightfit", "lightfit.nets", "lightfit.lightning_modules", "lightfit.datamodules")
OWN_KINDS = ("torch.nn.Module", "lightning.pytorch.LightningDataModule", "pytorch_lightning.LightningDataModule")
TOKENIZERS = tuple(
    f"lightfit.datamodules.text{place}.{name}"
    for place, names in (
        ("", ("tokenize", "tokenize_any", "tokenize_words")),
        (".vocabulary", ("tokenize", "tokenize_words")),
    )
    for name in names
)
# Functions that build a net of ours, from numbers alone.
NET_BUILDERS = tuple(
    f"lightfit.{place}.sequential_cnn"
    for place in ("nets", "lightning_modules.nets", "lightning_modules.nets.image_cnn")
)
PUBLISHED = {"weights": None, "weights_backbone": None, "pretrained": False}  # arguments that ask for a download
BUILDERS = ("pytorch_lightning.cli.instantiate_module", "lightning.pytorch.cli.instantiate_module")

_trusted: ContextVar[tuple[str, ...] | None] = ContextVar("trusted", default=None)  # None: the user's own code names it


@contextmanager
def only_trusted(trust: Collection[str] = ()) -> Iterator[None]:
    """Restrict `import_name` to the known names and to what the packages or modules in `trust` define."""
    token = _trusted.set(tuple(trust))
    try:
        yield
    finally:
        _trusted.reset(token)


def import_name(path: str) -> Any:
    """Return what a dotted path names, such as a class or a function.

    Raises:
        UntrustedNameError: a checkpoint is being built, and it may not name this; nothing was imported.
        ImportError: there is no such module, or nothing of that name in it.
    """
    trust = _trusted.get()
    if trust is None:
        return _find(path, importlib.import_module)
    if not _is_below(path, trust):
        if (found := _known(path)) is None:
            raise UntrustedNameError(_refused([path], "a class or function"))
        return found
    found = _find(path, importlib.import_module)
    defined = getattr(found, "__module__", None) or "builtins"
    if not _is_below(f"{defined}.", trust):  # imported there from elsewhere, as `from os import system`
        raise UntrustedNameError(_refused([f"{defined}.{path.rpartition('.')[2]}"], "a class or function"))
    return found


def _is_below(path: str, packages: Collection[str]) -> bool:
    return path.startswith(tuple(f"{package}." for package in packages))


def _find(path: str, import_module: Callable[[str], Any]) -> Any:
    module, _, name = path.rpartition(".")
    if not module:
        raise ImportError(f"'{path}' names no module: expected a dotted path, such as package.module.{path or 'name'}")
    try:
        return getattr(import_module(module), name)
    except AttributeError:
        raise ImportError(f"the module '{module}' has no '{name}'") from None


def _known(path: str) -> Any:
    """Return what a path names if checkpoints may name it, else None. Imports libraries' own modules alone.

    Raises:
        ImportError: it is of ours, and there is none of this name: it is of another version.
    """
    if path.partition(".")[0] in OWN:
        module = path.rpartition(".")[0]
        if module not in OWN_MODULES and not _is_below(module, OWN_MODULES[2:]):
            return None
        found = _find(path, importlib.import_module)
        builds = isinstance(found, type) and (_is_a(found, OWN_KINDS) or dataclasses.is_dataclass(found))
        return found if (path in (*TOKENIZERS, *NET_BUILDERS) or builds) and _is_below(found.__module__, OWN) else None
    for family in FAMILIES:
        for module in family.modules:
            if path.startswith(f"{module}.") and (found := _loaded(path, module)) is not None:
                defined = f"{getattr(found, '__module__', None)}."
                if not _is_below(defined, family.within or family.modules):
                    continue
                if isinstance(found, type) and _is_a(found, family.kinds):
                    return found
                if family.modules == MODELS and _builds_a_model(found):
                    return found
    return None


def _loaded(path: str, module: str) -> Any:
    """Return what a path names in a module, imported here, or in a module that it has loaded; None if nothing."""
    try:
        # Its attribute is asked for first: a module may import what lies below it then (PEP 562).
        getattr(importlib.import_module(module), path.removeprefix(f"{module}.").partition(".")[0], None)
        return _find(path, sys.modules.__getitem__)
    except (ImportError, KeyError):
        return None


def _is_a(found: type, kinds: Collection[str]) -> bool:
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in found.__mro__}
    return any(_loaded_class(kind) in names for kind in kinds)


def _loaded_class(kind: str) -> str:
    module, _, name = kind.rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    return "" if found is None else f"{found.__module__}.{found.__qualname__}"


def _builds_a_model(found: Any) -> bool:
    # A classifier's builder: those of other tasks download a backbone unless they are told not to.
    models = importlib.import_module(MODELS[0])
    name = getattr(found, "__name__", "")
    return (
        isinstance(found, types.FunctionType)
        and name in models.list_models(module=models)
        and models.get_model_builder(name) is found
    )


def is_known(path: str) -> bool:
    """Return whether checkpoints may name this without `--trust`."""
    try:
        return _known(path) is not None
    except ImportError:
        return path.partition(".")[0] in OWN  # of another version; the error comes where it is built


def untrusted_names(config: Any, trust: Collection[str] = ()) -> list[str]:
    """Return the classes that a configuration names and a checkpoint may not, sorted.

    Args:
        config: plain data, with classes under `class_path` or `_class_path`.
        trust: packages or modules whose names are allowed.
    """
    named = {path for path in _class_paths(config) if not _is_below(path, trust)}
    return sorted(path for path in named if not is_known(path))


def check_trusted(config: Mapping[str, Any], trust: Collection[str] = ()) -> None:
    """Check that a checkpoint's hyper-parameters name nothing but known and trusted classes, before any is built.

    Raises:
        UntrustedNameError: they do, or ask for another way of building them than Lightning's.
    """
    builder = config.get("_instantiator", BUILDERS[0])
    if builder not in BUILDERS:
        raise UntrustedNameError(
            f"the checkpoint has its classes built by '{builder}', which is not Lightning's: nothing was run"
        )
    if untrusted := untrusted_names(config, trust):
        raise UntrustedNameError(_refused(untrusted, "classes"))


def own_module(cls: type) -> tuple[str, ...]:
    """Return the module of a custom class, which is imported already; () for one of ours."""
    return () if cls.__module__.partition(".")[0] in OWN else (cls.__module__,)


def packages_of(names: Collection[str]) -> list[str]:
    """Return the packages of dotted paths, sorted: the values of `--trust`."""
    return sorted({name.partition(".")[0] for name in names})


def _refused(names: list[str], kind: str) -> str:
    packages = packages_of(names)
    flags = " ".join(f"--trust {package}" for package in packages)
    return (
        f"the checkpoint names {kind} of {', '.join(map(repr, packages))}, and to build them would run that code: "
        f"nothing was run. If it is yours, add {flags} (in Python: trust={tuple(packages)!r}). It names "
        f"{', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
    )


def _class_paths(value: Any) -> Iterator[str]:
    for key, item in walk(value):
        if key in ("class_path", "_class_path") and isinstance(item, str):
            yield item


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each key and value of nested dicts and lists of plain data, outer ones first; the key of an item is "".

    Raises:
        UntrustedNameError: there are more than `MOST_VALUES`.
    """
    waiting, seen = [("", value)], 0
    while waiting:
        key, item = waiting.pop()
        seen += 1
        if seen > MOST_VALUES:
            raise UntrustedNameError(
                f"the checkpoint's hyper-parameters hold more than {MOST_VALUES:,} values: refused"
            )
        yield key, item
        if isinstance(item, Mapping):
            waiting += [(str(name), held) for name, held in item.items()]
        elif isinstance(item, (list, tuple)):
            waiting += [("", held) for held in item]


def build(class_path: str, arguments: Mapping[str, Any]) -> Any:
    """Build an object from the path of its class, or of a function that returns it, and its arguments as plain data.

    A dict with `class_path` and `init_args` among them is built likewise, a dict for a dataclass becomes one, and a
    text becomes what it names where the annotation asks for a function or a class.

    Raises:
        UntrustedNameError, ImportError: as `import_name`, for every name within.
        TypeError: an argument is unknown or missing.
    """
    return _call(import_name(class_path), arguments)


def _call(target: Any, arguments: Mapping[str, Any]) -> Any:
    if _trusted.get() is not None and isinstance(target, types.FunctionType):
        # A function that builds a net: the checkpoint has the weights, and would have others downloaded first.
        arguments = {name: PUBLISHED.get(name, value) for name, value in arguments.items()}
    return target(**_converted(target, arguments))


def _converted(target: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    hints = _hints(target)
    return {name: _value(hints.get(name, Any), value) for name, value in arguments.items()}


def _hints(target: Any) -> dict[str, Any]:
    """Return the annotation of each argument of a function, or of a class and its parents."""
    owners = [vars(owner).get("__init__") for owner in target.__mro__] if isinstance(target, type) else [target]
    hints: dict[str, Any] = {}
    for owner in reversed(owners):
        try:
            hints |= typing.get_type_hints(owner)
        except (NameError, TypeError, AttributeError):  # an annotation that can't be read, or a constructor in C
            hints |= getattr(owner, "__annotations__", {})
    return hints


def _value(hint: Any, value: Any) -> Any:
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if isinstance(value, Mapping) and isinstance(value.get("class_path"), str):
        target = import_name(value["class_path"])
        arguments = {**value.get("init_args", {}), **value.get("dict_kwargs", {})}
        if isinstance(target, type) and any(issubclass(target, made) for made in map(_made_by, options)):
            return partial(target, **_converted(target, arguments))  # a function that makes objects of the class
        return _call(target, arguments)
    if isinstance(value, str):
        if any(value in typing.get_args(o) for o in options if typing.get_origin(o) is typing.Literal):
            return value
        if str not in options and any(map(_is_callable, options)):
            return import_name(value)
        chosen = next((o for o in options if isinstance(o, type) and issubclass(o, enum.Enum)), None)
        return chosen[value] if chosen is not None and value in chosen.__members__ else value
    if isinstance(value, Mapping):
        group = next((o for o in options if dataclasses.is_dataclass(o)), None)
        if group is not None:
            return _call(group, value)
        item = next((typing.get_args(o)[1] for o in options if len(typing.get_args(o)) == 2), Any)
        return {name: _value(item, held) for name, held in value.items()}
    if isinstance(value, (list, tuple)):
        sequence = next((o for o in options if typing.get_origin(o) in (list, tuple)), None)
        items = typing.get_args(sequence) if sequence is not None else ()
        item = items[0] if items else Any
        kind = typing.get_origin(sequence) or (tuple if isinstance(value, tuple) else list)
        return kind(_value(item, held) for held in value)
    return value


def _made_by(hint: Any) -> tuple[type, ...]:
    """Return the result type of an annotated function as a tuple, for `issubclass`; () for other annotations."""
    result = typing.get_args(hint)[-1] if typing.get_origin(hint) is Callable and typing.get_args(hint) else None
    return (result,) if isinstance(result, type) else ()


def _is_callable(hint: Any) -> bool:
    return hint is type or typing.get_origin(hint) in (type, Callable) or hint in (Callable, typing.Callable)
