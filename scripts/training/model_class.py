"""The LightModel that fits the data's target: classes, sets of labels, or numbers."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from lightfit.datamodules import LabelCodec
from lightfit.errors import UsageError
from lightfit.lightning_modules import Classifier, ImageClassifier, LightModel, SupervisedModel, TextClassifier
from lightfit.trust import import_name

from ..cli.keys import MODEL_LINKS
from ..cli.lightning_internals import make_instantiator

FITTING = {  # by kind of target
    "classes": "lightfit.Classifier",
    "multi_label": "lightfit.MultiLabelClassifier",
    "numbers": "lightfit.Regressor",
}
MEANINGS = {"classes": "classes", "multi_label": "sets", "numbers": "numbers"}
DEFAULTS = (Classifier, ImageClassifier, TextClassifier)  # of presets, which give way to what the data need


def choose_model_class(cls: type, codec: Any, *, named: bool) -> str | None:
    """Return the path of the class that fits the data where it is another one; None where `cls` fits.

    Args:
        cls: the class of the configuration.
        codec: codec of the data.
        named: whether the user named the class on the command line.

    Raises:
        UsageError: the class does not fit, and is the user's own choice.
    """
    if not (issubclass(cls, SupervisedModel) and isinstance(codec, LabelCodec)):
        return None
    kind = codec.target.kind
    if cls.target_kind in (None, kind):
        return None
    if named or cls not in DEFAULTS:
        raise UsageError(
            f"{cls.__name__} is for labels that are {MEANINGS[cls.target_kind]}, and those of the data are "
            f"{MEANINGS[kind]}: expected --model {FITTING[kind]}, or other data"
        )
    return FITTING[kind]


def replace_model_class(config: Any, path: str) -> None:
    """Change the class of a model's configuration, and keep the arguments that the new class takes too.

    Args:
        config: `class_path` and `init_args`, as a Namespace or a dict.
        path: path of the new class.
    """
    taken = inspect.signature(import_name(path)).parameters
    arguments = config.get("init_args") or {}
    held = arguments if isinstance(arguments, dict) else vars(arguments)  # a Namespace yields dotted names
    for name in [name for name in held if name not in taken]:
        del held[name]
    for name in set(MODEL_LINKS) & set(taken) - set(held):
        held[name] = None  # a place for what the data know
    config["class_path"] = path


class ModelInstantiator:
    """Build the model of a command line, of the class that the data need.

    Args:
        cli: the LightningCLI, whose configuration names the class that is built.
        find_codec: returns the codec of the data, which was read for the links already.
        named: whether the user named the class on the command line.
        say: prints a line.
    """

    def __init__(self, cli: Any, find_codec: Callable[[], Any], *, named: bool, say: Callable[[str], None]) -> None:
        self.cli = cli
        self.find_codec = find_codec
        self.named = named
        self.say = say

    def __call__(
        self, class_type: type[LightModel], *args: Any, applied_instantiation_links: Mapping[str, Any], **kwargs: Any
    ) -> Any:
        """Build the model as Lightning does, with its arguments stored as hyper-parameters."""
        path = choose_model_class(class_type, self.find_codec(), named=self.named)
        if path is not None:
            self.say(f"the labels are {MEANINGS[self.find_codec().target.kind]}: training {path}")
            for config in (self.cli.config.model, self.cli.config_dump["model"]):
                replace_model_class(config, path)
            class_type = import_name(path)
            taken = inspect.signature(class_type).parameters
            linked = {name: applied_instantiation_links.get(f"model.init_args.{name}") for name in MODEL_LINKS}
            kwargs = {name: value for name, value in (kwargs | linked).items() if name in taken}
        build = make_instantiator(self.cli, "model")
        return build(class_type, *args, applied_instantiation_links=applied_instantiation_links, **kwargs)
