"""Codecs: encode raw samples for the net, and decode its predictions as a table. This file imports no Lightning."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import torch
from torch import Tensor
from typing_extensions import Self

from lightfit.checkpoint import is_plain
from lightfit.errors import CheckpointError
from lightfit.trust import check_trusted, import_name, only_trusted

from .examples import Example, check_examples
from .samples import Batches, EncodedBatches, Samples
from .targets import Classes, Numbers, Target


class Codec(ABC):
    """Encode raw samples and decode predictions; fitted on the training rows, immutable afterwards.

    For a custom raw format, write `encode` and `decode`. A checkpoint stores the constructor's arguments, so each must
    be plain data and an attribute of the same name, as in scikit-learn; otherwise write `to_dict` and `from_dict` too.
    """

    domain: ClassVar[str] = "files"  # how commands read inputs: text, images, series, or files of any other format
    input_shape: tuple[int, ...] | None = None  # of one encoded sample, noted by the DataModule
    input_dtype: str = "float32"
    examples: tuple[Example, ...] = ()  # training samples to try the model with, if they were asked for
    descriptive: ClassVar[tuple[str, ...]] = ()  # keys of the state that do not change how samples are encoded

    @abstractmethod
    def encode(self, samples: Sequence[Any]) -> Tensor:
        """Encode raw samples as a batch for the net, (B, ...)."""

    @abstractmethod
    def decode(self, samples: Sequence[Any], predictions: Tensor) -> pd.DataFrame:
        """Decode predictions as a table, in the order of the samples, with equally many rows for each sample.

        Args:
            samples: the raw samples that were encoded.
            predictions: return value of `predict_step`, (B, ...).
        """

    def batches(self, samples: Samples) -> Batches:
        """Return samples as batches that are encoded on access."""
        return EncodedBatches(self.encode, samples)

    def warn(self, samples: Sequence[Any], x: Tensor) -> list[str]:
        """Return what makes the prediction of each sample doubtful, in one sentence; an empty string for the others.

        Args:
            samples: the raw samples.
            x: the encoded samples, (B, ...).
        """
        return [""] * len(samples)

    def neutral(self, x: Tensor) -> Tensor:
        """Return inputs that say nothing, of the shape of encoded samples, with which explanations compare these.

        Args:
            x: encoded samples, (B, ...). Here zeros stand in their place.
        """
        return torch.zeros_like(x)

    def dummy_batch(self) -> Tensor:
        """Return a batch of two encoded samples, all zeros, to trace the net or to run it once.

        Raises:
            NotImplementedError: the shape of a sample is unknown, as no batch was encoded yet.
        """
        if self.input_shape is None:
            raise NotImplementedError(f"{type(self).__name__} has encoded no batch yet: define dummy_batch()")
        return torch.zeros(2, *self.input_shape, dtype=getattr(torch, self.input_dtype))

    def metadata(self) -> dict[str, Any]:
        """Return plain data by which other programs encode samples and read predictions without LightFit."""
        return {"domain": self.domain, **self.to_dict()}

    def to_dict(self) -> dict[str, Any]:
        """Return the state as plain data, by default the constructor's arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Build a codec from the return value of `to_dict`."""
        return cls(**state)


SHOWN_CHARS = 60  # number of characters of an input to show beside its label


class LabelCodec(Codec):
    """A codec of labelled samples: with one class, a set of labels, or numbers for each.

    A custom one has an attribute `target`, or `class_names` alone for one class a sample.
    """

    @cached_property
    def target(self) -> Target:
        """Return what the net predicts."""
        return Classes(list(self.class_names))

    @cached_property
    def class_names(self) -> list[str]:
        """Return the names of the classes or labels, in the order of the net's outputs; none for numbers."""
        return [] if isinstance(self.target, Numbers) else self.target.names

    @property
    def num_classes(self) -> int:
        """Return the number of classes, labels or numbers, which sizes the net."""
        return self.target.num_values

    @property
    def num_outputs(self) -> int | None:
        """Return the number of outputs that the net must have; None for classes, of which two may share a logit."""
        return self.target.num_outputs

    @property
    def units(self) -> dict[str, list[float]] | None:
        """Return the `mean` and `std` of each number, which undo its scaling; None for classes and labels."""
        return self.target.units if isinstance(self.target, Numbers) else None

    def describe_targets(self, y: Tensor) -> list[str]:
        """Return the labels or numbers of each sample of a batch in a few words; nothing for classes.

        Args:
            y: targets of a batch, as the net is trained on them.
        """
        return self.target.describe(y)

    def batches(self, samples: Samples) -> Batches:
        """Return samples as batches that are encoded on access, with their targets as the net is trained on them."""
        return EncodedBatches(self.encode, samples, self.target.scale(samples.target_tensor()))

    def decode(self, samples: Sequence[Any], predictions: Tensor, *, top: int = 1) -> pd.DataFrame:
        """Decode predictions as a row for each sample: the columns of the target, then `file` or `input`.

        Args:
            samples: the raw samples that were encoded.
            predictions: return value of `predict_step`.
            top: number of most probable classes or labels to list.
        """
        return pd.DataFrame(self.target.decode(predictions, top=top) | _name_inputs(samples))


def _name_inputs(samples: Sequence[Any]) -> dict[str, list[Any]]:
    if all(isinstance(sample, Path) for sample in samples):
        # Names that are not UTF-8 hold surrogates, which pandas does not take.
        return {"file": [str(sample).encode("utf-8", "backslashreplace").decode() for sample in samples]}
    texts = [sample for sample in samples if isinstance(sample, str)]
    if len(texts) < len(samples):
        return {}  # decoded images have no names
    return {"input": [text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 3]}..." for text in texts]}


def save_codec(codec: Codec) -> dict[str, Any]:
    """Return a codec as plain data, for a checkpoint.

    Raises:
        TypeError: `to_dict` returned something else; the message names the key.
    """
    cls, state = type(codec), codec.to_dict()
    for key, value in state.items():
        if not is_plain(value):
            raise TypeError(
                f"{cls.__name__}.to_dict() returned {type(value).__name__} under '{key}': expected plain data, that is "
                "numbers, strings, None, and lists and dicts of them, since a checkpoint stores nothing else"
            )
    held: dict[str, Any] = {"class_path": _public_path(cls), "state": state}
    if codec.input_shape is not None:
        held |= {"input_shape": list(codec.input_shape), "input_dtype": codec.input_dtype}
    if codec.examples:
        held["examples"] = [dict(example) for example in codec.examples]
    return held


def restore_codec(held: Mapping[str, Any], trust: Collection[str] = ()) -> Codec:
    """Build a codec from the return value of `save_codec`.

    Args:
        held: plain data.
        trust: packages whose classes the data may name, beside the known ones.

    Raises:
        UntrustedNameError: the data names a class or function that is neither known nor trusted.
        CheckpointError: the codec cannot be built.
    """
    try:
        path, state = str(held["class_path"]), held["state"]
        check_trusted({"class_path": path}, trust)
        with only_trusted(trust):
            cls = import_name(path)
            if not (isinstance(cls, type) and issubclass(cls, Codec)):
                raise CheckpointError(f"the checkpoint's codec is {path}, which is not a Codec: damaged or forged")
            codec = cls.from_dict(state)
        if held.get("input_shape") is not None:
            set_input(codec, held["input_shape"], str(held.get("input_dtype", "float32")))
        if held.get("examples"):
            set_examples(codec, held["examples"])
        return codec
    except CheckpointError:
        raise
    except Exception as error:  # the class of another project or version may raise anything
        raise CheckpointError(
            f"the checkpoint's codec cannot be built here: {' '.join(str(error).split()) or type(error).__name__}. "
            "Expected a codec of this version of LightFit, or a class that can be imported"
        ) from error


MOST_VALUES = 50_000_000  # in one encoded sample: a forged checkpoint must not fill the memory
DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool")


def set_input(codec: Codec, shape: Sequence[int], dtype: str) -> None:
    """Note the shape and the dtype of an encoded sample.

    Raises:
        CheckpointError: the sample is too large, or its dtype unknown.
    """
    sizes = tuple(map(int, shape))
    if any(size < 0 for size in sizes) or torch.Size(sizes).numel() > MOST_VALUES or dtype not in DTYPES:
        raise CheckpointError(f"the checkpoint's samples have the shape {sizes} and dtype {dtype}: damaged or forged")
    object.__setattr__(codec, "input_shape", sizes)
    object.__setattr__(codec, "input_dtype", dtype)


def set_examples(codec: Codec, examples: Sequence[Mapping[str, Any]]) -> None:
    """Have a codec hold training samples, which its checkpoints then hold too.

    Raises:
        CheckpointError: they are not as `check_examples` expects them.
    """
    object.__setattr__(codec, "examples", check_examples(examples))


def _public_path(cls: type) -> str:
    """Return the documented path of a class of LightFit, which stays valid when files move; else the real path."""
    if cls.__module__.partition(".")[0] == "lightfit":
        import lightfit

        if getattr(lightfit, cls.__name__, None) is cls:
            return f"lightfit.{cls.__name__}"
    return f"{cls.__module__}.{cls.__qualname__}"
